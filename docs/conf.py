"""Configuration of the documentation: ``sphinx-build -W docs docs/_build/html``.

Everything is built from the checkout, the gallery is executed, and no network is needed: links into
other projects are resolved only where their sites answer.
"""

import os
import socket
import sys
import warnings
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))
# The gallery may run examples in processes of their own: these find the checkout too.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))

import skicl  # noqa: E402

project = "skicl"
author = "the skicl developers"
copyright = "2026, the skicl developers"
version = release = skicl.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_build",
    "auto_examples/**/*.ipynb",
    "auto_examples/**/*.md5",
    "auto_examples/**/*.py",
    "benchmarks/tables/*",  # recorded by the scripts in examples/benchmarks, included by the pages
]
templates_path = ["_templates"]
default_role = "literal"
nitpicky = False

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive.*", category=UserWarning)


def reachable(url):
    """Whether a site accepts a connection within two seconds."""
    try:
        socket.create_connection((urlsplit(url).hostname, 443), timeout=2).close()
    except OSError:
        return False
    return True


sites = {
    "numpy": "https://numpy.org/doc/stable/",
    "python": "https://docs.python.org/3/",
    "sklearn": "https://scikit-learn.org/stable/",
    "torch": "https://docs.pytorch.org/docs/stable/",
}
intersphinx_mapping = {name: (url, None) for name, url in sites.items() if reachable(url)}
intersphinx_timeout = 10

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # Only NN_topic/plot_*.py are executed. Scripts beside them and the benchmarks are not part of the gallery.
    "filename_pattern": r"[\\/]\d\d_\w+[\\/]plot_\w+\.py$",
    "ignore_pattern": r"quickstart\.py$|[\\/]benchmarks[\\/]",
    "within_subsection_order": "gallery_order.ReadingOrder",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "download_all_examples": False,
    "doc_module": ("skicl",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"skicl": None},
}

html_theme = "pydata_sphinx_theme"
html_title = "skicl"
html_static_path = ["_static"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "install": [], "quickstart": [], "glossary": []}


def setup(app):
    """Write what the pages include before they are read."""
    from reasoner_card import write_cards, write_language_model_card

    app.connect("builder-inited", lambda _: write_cards(HERE / "generated" / "reasoner_card.inc"))
    app.connect("builder-inited", lambda _: write_language_model_card(HERE / "generated" / "language_model_card.inc"))
