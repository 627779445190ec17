"""The benchmark behind `sarl-train benchmark`: what to run (plan), doing it (work), keeping it (records), showing it.

Reading order: presets, plan, settings, sources, work and measures, schedule, records, pages.
"""
