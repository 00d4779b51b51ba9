"""A page that stands alone: templates, figures in their places, and the policy that lets it ask nobody for anything."""

from dataclasses import dataclass
from importlib.resources import files

import holoviews as hv
import jinja2
from markupsafe import Markup

from nanocensus.show.embedding import content_security_policy, figure_json, viewer_script

_TEMPLATES = files("nanocensus.show") / "templates"


@dataclass(frozen=True)
class Figure:
    """A figure in its place in the page."""

    target: str
    json: Markup
    caption: str
    description: str
    """For those who do not see it."""


def figure_in_page(target: str, element: hv.Overlay, caption: str, description: str) -> Figure:
    """Draw a figure for its place in a page.

    Parameters
    ----------
    target : str
        Identity of the place, unique in the page.
    element : holoviews Overlay
        What is drawn.
    caption : str
        Stands below it.
    description : str
        Read to those who do not see it.
    """
    return Figure(target, Markup(figure_json(element, target)), caption, description)


def render_page(template: str, *, css: tuple[str, ...] = ("report.css",), **content: object) -> str:
    """Fill a template into one HTML file.

    The page asks nobody for anything: its Content-Security-Policy allows the two scripts it carries, by their digests,
    and pictures inside the page; a browser refuses all else. Equal contents give equal bytes.

    Parameters
    ----------
    template : str
        File name of the template.
    css : tuple of str
        File names of the style sheets, later ones over earlier ones.
    **content
        What the template fills in.

    Returns
    -------
    str
        The text of the file, to be written as UTF-8.
    """
    viewer, drawing = viewer_script(), _template_text("report.js")
    return (
        _environment()
        .get_template(template)
        .render(
            policy=content_security_policy([viewer, drawing]),
            css=Markup("".join(map(_template_text, css))),
            viewer=Markup(viewer),
            drawing=Markup(drawing),
            **content,
        )
    )


def _template_text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(_template_text)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
