"""Tactile perception on the robot: camera image in; edge pose, contact point, force, material and contact out.

perception_node  wires parameters, topics and diagnostics       publishers/  one message kind each
estimator        the model, usable without ROS                  contract     what a model file promises
image_input      image messages to RGB arrays                   overlay      the estimate drawn on the image
"""
