"""What the paper reports (arXiv 2512.01908), on real ViTacTip and other sensors: never the data measured here."""

# Table I: shape Top-1, Top-5, grating Top-1, Top-5, material Top-1, Top-5, then mean MAE of force (N), contact point
# (mm) and edge pose (mm, mm, degree).
_TABLE1 = {
    "supervised": (96.75, 100.00, 100.00, 100.00, 99.77, 100.00, 0.0300, 0.0828, 0.3547),
    "simclr": (88.25, 100.00, 93.52, 100.00, 99.03, 99.74, 0.0529, 0.1977, 0.6379),
    "byol": (82.67, 99.94, 83.80, 100.00, 98.36, 99.66, 0.1041, 0.3292, 0.9529),
    "simsiam": (81.59, 99.94, 85.33, 100.00, 97.50, 99.68, 0.1016, 0.3334, 0.5682),
    "barlow_twins": (86.22, 100.00, 89.90, 100.00, 98.41, 99.76, 0.0746, 0.2115, 0.5836),
    "vicreg": (85.14, 100.00, 90.86, 100.00, 98.28, 99.76, 0.1736, 1.3293, 0.9372),
    "swav": (80.38, 98.92, 82.52, 100.00, 98.70, 99.68, 0.0779, 0.4042, 0.8167),
    "minc": (84.19, 100.00, 89.71, 100.00, 98.54, 99.74, 0.1089, 0.3164, 0.6072),
    "cplearn": (74.29, 94.98, 80.19, 99.80, 96.05, 99.55, 0.1093, 0.4202, 1.0722),
    "densecl": (85.87, 99.25, 89.71, 100.00, 98.14, 99.76, 0.0900, 0.3221, 0.6200),
    "sarl_paper": (92.51, 100.00, 99.61, 100.00, 99.27, 99.77, 0.0617, 0.1804, 0.3955),
}
_METRICS = (
    "shape/top1", "shape/top5", "grating/top1", "grating/top5", "material/top1", "material/top5", "force/mean",
    "contact_point/mean", "edge_pose/mean",
)  # fmt: skip
TABLE1 = {subject: dict(zip(_METRICS, row, strict=True)) for subject, row in _TABLE1.items()}

# Fig. 4 and V-A: edge pose by axis; theta follows from the mean in Table I.
EDGE_AXES = {"sarl_paper": (0.0596, 0.0444, 1.0825), "supervised": (0.0621, 0.0539, 0.9481)}

# Table II: Top-1 and Top-5 on each sensor's set.
TABLE2 = {
    "simclr": {"magictac_t": (80.19, 95.38), "magictac_d": (77.89, 95.24), "gelsight": (85.89, 94.54),
               "pnutac": (79.65, 93.78)},
    "byol": {"magictac_t": (87.04, 98.61), "magictac_d": (69.58, 91.05), "gelsight": (88.46, 96.78),
             "pnutac": (88.08, 97.57)},
    "barlow_twins": {"magictac_t": (90.85, 98.86), "magictac_d": (78.38, 94.24), "gelsight": (92.30, 99.12),
                     "pnutac": (88.98, 97.23)},
    "sarl": {"magictac_t": (91.61, 98.88), "magictac_d": (80.48, 96.40), "gelsight": (90.24, 98.54),
             "pnutac": (91.00, 97.32)},
}  # fmt: skip

# Table III: shape Top-1 and mean edge-pose MAE; BYOL's from Table I.
TABLE3 = {
    (): (82.67, 0.9529),
    ("sal",): (89.41, 0.8605),
    ("ppda",): (90.35, 0.7940),
    ("ram",): (90.32, 0.8647),
    ("sal", "ppda"): (91.36, 0.6570),
    ("sal", "ram"): (92.07, 0.7220),
    ("ppda", "ram"): (91.25, 0.6631),
    ("sal", "ppda", "ram"): (92.51, 0.3955),
}

# Table IV: Top-1 and Top-5 of shape, grating, material. The TacTip row is below chance for 7 gratings (Top-5 71.4).
TABLE4 = {
    "tactip": {"shape": (44.25, 54.41), "grating": (46.58, 59.83), "material": (52.00, 63.38)},
    "vitac": {"shape": (89.78, 100.00), "grating": (98.44, 100.00), "material": (96.76, 98.89)},
    "vitactip": {"shape": (92.51, 100.00), "grating": (99.61, 100.00), "material": (99.27, 99.77)},
}
