"""The sections of a report that need the encoder and the images kept: geometry, saliency, parts."""

import torch
from torch import Tensor

from sarl_training.errors import DataRefused, SarlError
from sarl_training.methods import METHODS
from sarl_training.networks import MAP_CHANNELS, Encoder, load_encoder
from sarl_training.pretrain_config import recorded_config
from sarl_training.run_folder import RunFolder
from sarl_training.run_report import curves, html, pictures
from sarl_training.run_report.record import RunRecord
from sarl_training.run_report.samples import SAMPLES_FILE, Samples, read_samples

_PAIRS_TEXT = (
    "Both views of an image as training sees them. The last column is view 2 carried into view 1 by the maps that the "
    "losses use; the red outline is view 2's frame. If the geometry is right, it shows the same things at the same "
    "places as view 1. Grey is not in view 2."
)
_SALIENCY_TEXT = "How strongly each place of a layer's map answers: bright is salient."
_PARTS_TEXT = (
    "Each cell of layer 3 in the colour of its nearest prototype. The bars say how often each one wins a cell."
)


def encoder_sections(run: RunRecord) -> tuple[list[str], list[str]]:
    """Sections, and notes on what had to be left out."""
    samples = read_samples(run.path)
    if samples is None:
        return [], [f"No {SAMPLES_FILE} in the run folder: no pictures."]
    sections, notes = [], []
    for draw in (_pairs, _maps):
        try:
            sections += draw(run, samples)
        except SarlError as error:
            notes.append(f"Left out: {error}")
    return sections, notes


def _pairs(run: RunRecord, samples: Samples) -> list[str]:
    name = run.config.get("method_name")
    if name not in METHODS:
        raise DataRefused(f"warped pairs: method {name!r} is not known to this version")
    config = recorded_config(RunFolder(run.path), name)
    with torch.device("meta"):  # its plan is asked for, no network is needed
        method = METHODS[name](config.method)
    png = pictures.draw_warped_pairs(samples, method.plan(config.views, config.image_size), config.seed)
    return [html.section("Do the views fit", _PAIRS_TEXT, html.picture(png, "warped pairs"))]


def _maps(run: RunRecord, samples: Samples) -> list[str]:
    encoder, _ = load_encoder(run.path)
    saliency = html.picture(pictures.draw_saliency(encoder, samples), "saliency")
    return [html.section("Where it looks", _SALIENCY_TEXT, saliency), _parts(run, encoder, samples)]


def _parts(run: RunRecord, encoder: Encoder, samples: Samples) -> str:
    prototypes_KC = _prototypes(run)
    if prototypes_KC is None:
        return ""
    parts = pictures.draw_parts(encoder, prototypes_KC, samples)
    dead = int((parts.share_K < pictures.DEAD_SHARE).sum())
    count = f"{dead} of {len(parts.share_K)} prototypes are dead (win under {pictures.DEAD_SHARE:.1%} of the cells)."
    return html.section(
        "Parts it found", f"{_PARTS_TEXT} {count}", html.picture(parts.png, "parts"), curves.draw_usage(parts.share_K)
    )


def _prototypes(run: RunRecord) -> Tensor | None:
    """Prototypes of cells of layer 3 from the newest checkpoint, if the method has such."""
    state = RunFolder(run.path).load_checkpoint(torch.device("cpu"))
    found = state["method"].get("prototypes_KC") if state is not None else None
    return found if found is not None and found.shape[1] == MAP_CHANNELS[pictures.PART_LAYER] else None
