"""A model file fitted to another copy of its sensor: what `sarl-train calibrate` is made of."""
