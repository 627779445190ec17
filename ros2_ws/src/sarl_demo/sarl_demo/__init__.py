"""A tactile camera without hardware, and the measurement of the perception node against ground truth.

simulated_camera  publishes frames with their ground truth          frame_sources  where the frames come from
recorder          compares published poses with ground truth        scoring        the numbers it writes
measure           node, camera, recorder as processes, one summary  sheet          estimates drawn on images
"""
