"""The peer: a tactile node as such nodes are usually written. Not part of the product.

The image is copied out of the message as cv_bridge does, resized, put through ResNet-18 by torch eager inside the
callback, with a queue of 10. It answers like perception_node's `contact`, so that the same listener hears both.

    python plain_node.py IMAGE_SIZE THREADS
"""

import contextlib
import sys

import cv2
import numpy as np
import rclpy
import torch
import torchvision
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sarl_msgs.msg import ContactStamped
from sensor_msgs.msg import Image

QUEUE = 10


class PlainNode(Node):
    def __init__(self, image_size: int) -> None:
        super().__init__("plain_node")
        self.image_size = image_size
        self.model = torchvision.models.resnet18(num_classes=10).eval()
        self.contact = self.create_publisher(ContactStamped, "contact", QUEUE)
        qos = QoSProfile(depth=QUEUE, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, "image_raw", self.answer, qos)

    def answer(self, message: Image) -> None:
        rgb = np.ndarray((message.height, message.width, 3), np.uint8, bytes(message.data)).copy()
        small = cv2.resize(rgb, (self.image_size, self.image_size))
        x_BCHW = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            answer = self.model(x_BCHW)[0]
        self.contact.publish(ContactStamped(header=message.header, probability=float(torch.sigmoid(answer[0]))))


def main() -> None:
    torch.set_num_threads(int(sys.argv[2]))
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(PlainNode(int(sys.argv[1])))


if __name__ == "__main__":
    main()
