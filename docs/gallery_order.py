"""The order in which the gallery shows the examples of a folder."""

READING_ORDER = [
    "plot_text_classification.py", "plot_model_selection.py", "plot_composition.py",
    "plot_image.py", "plot_audio.py", "plot_mixed_modality.py", "plot_language_model.py", "plot_own_encoder.py",
    "plot_many_shot.py", "plot_calibration.py",
]  # fmt: skip


class ReadingOrder:
    """Sort key of sphinx-gallery: the listed examples in this order, then all others by name.

    Parameters
    ----------
    folder : str
        Folder of the examples; not used.
    """

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, filename):
        rank = READING_ORDER.index(filename) if filename in READING_ORDER else len(READING_ORDER)
        return rank, filename
