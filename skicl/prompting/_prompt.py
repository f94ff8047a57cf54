"""Prompt: what a language model is sent for one row, to be looked at."""

from typing import NamedTuple


class Prompt(NamedTuple):
    """What a language model is sent for one row.

    Attributes
    ----------
    text : str
        The prompt as text, up to where a label begins.
    tokens : list of str
        Its tokens, as the tokenizer of the model writes them, with those that begin every text.
    ids : list of int
        Their numbers: exactly what the network reads before a label.
    labels : dict of str to list of str
        For each label word its tokens, as they are scored after the prompt.
    demonstrations : list of int
        Numbers of the labelled rows in the prompt, in its order.
    dropped : list of int
        Numbers of the labelled rows that were chosen for it and left out, because the prompt would be too long.

    See Also
    --------
    skicl.ICLClassifier.prompts : Returns them.

    Examples
    --------
    >>> from skicl import ICLClassifier
    >>> classifier = ICLClassifier("skicl-tiny", demonstrations=2, device="cpu")
    >>> classifier.fit(["late parcel", "wrong bill", "lost parcel"], ["delivery", "billing", "delivery"])
    ICLClassifier(demonstrations=2, device='cpu', model='skicl-tiny')
    >>> prompt = classifier.prompts(["unpaid bill"])[0]
    >>> print(prompt.text)
    Text: wrong bill
    Label: billing
    <BLANKLINE>
    Text: lost parcel
    Label: delivery
    <BLANKLINE>
    Text: unpaid bill
    Label:
    >>> prompt.n_tokens, prompt.demonstrations, prompt.dropped
    (35, [1, 2], [])
    """

    text: str
    tokens: list
    ids: list
    labels: dict
    demonstrations: list
    dropped: list

    @property
    def n_tokens(self) -> int:
        """Number of tokens, without those of a label."""
        return len(self.ids)
