"""A tactile fingertip without hardware: one that replays a dataset, and one that is moved over an outline and followed.

Replay        simulated_camera (frames: frame_sources) and recorder (numbers: scoring), together in measure
Closed loop   outline_camera (picture: outline_scene, motion: tip_motion) and edge_follower (law: edge_servo with
              edge_trail and pid), together in servo (one run: servo_run, numbers: servo_score)
Both          processes, tip_messages, ground_truth, settings; sheet draws estimates on any images
"""
