"""Portrait and face segmentation with U-Net: the helper package of the course.

One idea a module, in the order in which data flows: catalog, download, dataset, transforms, model, dice, device,
config, batches, checkpoint, evaluation, training, guardrails, experiment, analysis, plots, widgets, exercises.
`start` begins a notebook.
"""


def start(notebook: str):
    """Begin a notebook; see `session.start`. Imported late, so that `python -m faceseg_utils data` stays quick."""
    from faceseg_utils.session import start

    return start(notebook)
