"""The real cv_bridge, where it is installed, for encodings that this package does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from sarl_perception.error_text import one_line
from sarl_perception.image_input import Converter, ImageRefused


def find_cv_bridge() -> Converter | None:
    """Converter by cv_bridge; None where that is not installed or does not load (built for another NumPy).

    The package of this name on the Python index is an old port that reads padded images wrongly: it is no ament
    package, and not taken.
    """
    try:
        get_package_share_directory("cv_bridge")
        from cv_bridge import CvBridge

        bridge = CvBridge()
    except (PackageNotFoundError, ImportError, AttributeError):
        return None

    def convert(message: Any) -> np.ndarray:
        try:
            rgb = np.asarray(bridge.imgmsg_to_cv2(message, desired_encoding="rgb8"))
        except Exception as error:  # CvBridgeError, and whatever its parts raise
            text = f"cv_bridge does not convert {message.encoding!r}: {one_line(error)}"
            raise ImageRefused("encoding", text) from error
        if rgb.dtype != np.uint8 or rgb.shape != (message.height, message.width, 3) or 0 in rgb.shape:
            raise ImageRefused("encoding", f"cv_bridge made {rgb.dtype} {rgb.shape} of {message.encoding!r}")
        return rgb

    return convert
