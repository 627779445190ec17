"""Simulated camera-in-gel fingertips: one latent contact, solved once, rendered to every sensor.

Reading order: `contact.py` what is drawn, `objects.py` what is touched, `skin.py` how the skin gives way, `camera.py`
how the lens sees it, `appearance.py` what it looks like, `render.py` the whole chain, `sensors/` one skin each.
"""
