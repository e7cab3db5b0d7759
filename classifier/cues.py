"""Words that hint at what is asked: one class per word, read off the encoder's vocabulary rows.

The classes were written from general knowledge of how tasks are worded, not from any data file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

CUES: Final[dict[str, str]] = {
    "who_when_where": "who whom whose when where",
    "what_which": "what which",
    "how_why": "how why",
    "yes_no": "is are was were does did do can could should will would has have",
    "prove": ("prove proof show derive demonstrate theorem lemma corollary conjecture rigorous axiom hence iff"),
    "compute": (
        "compute calculate evaluate determine find solve simplify estimate approximate minimize maximize value"
    ),
    "write": ("write compose draft create generate design story poem essay email letter song tweet blog script"),
    "code": (
        "function code python java javascript sql program algorithm class method array string "
        "list loop api bug implement compile recursive return returns code debug regex script "
        "html css json input output print def int"
    ),
    "rewrite": ("rewrite translate summarize summarise paraphrase shorten correct rephrase edit proofread convert"),
    "explain": ("explain describe discuss compare contrast analyze analyse outline define meaning definition"),
    "small_talk": (
        "hi hello hey thanks thank please goodbye bye morning evening welcome nice cool ok "
        "okay yes no sure great lol haha sorry bonjour merci hola gracias danke hallo ciao "
        "grazie"
    ),
    "condition": ("if then suppose assume given let unless otherwise whenever where such whose each every"),
    "negation": "not except never neither nor without none false incorrect cannot least unlikely",
    "quantity": (
        "number many much total sum average mean median percent percentage probability ratio "
        "rate times half twice difference product"
    ),
    "order": ("first second third next last before after finally steps step sequence order left right above below"),
    "geometry": (
        "triangle circle square angle radius diameter polygon area perimeter volume rectangle "
        "parallel line length sphere point plane vertices degrees"
    ),
    "algebra": (
        "equation polynomial integer integers prime roots root matrix vector function "
        "functions real complex divisible modulo remainder digits positive negative factor "
        "integral derivative limit"
    ),
    "physics": (
        "force energy mass velocity speed acceleration charge field voltage current wave "
        "temperature pressure quantum electron photon light magnetic electric gravity "
        "momentum power heat motion"
    ),
    "chemistry": (
        "acid reaction chemical compound molecule atom ion solution bond oxygen hydrogen "
        "carbon organic equilibrium oxidation molecules atoms gas liquid solid metal"
    ),
    "biology": (
        "cell cells gene genes dna protein species blood organism enzyme tissue evolution "
        "bacteria virus plant plants animal animals disease brain"
    ),
    "medicine": (
        "patient symptoms diagnosis treatment therapy clinical pain woman man year old "
        "history examination hospital doctor medical drug dose infant"
    ),
    "law": (
        "court law defendant plaintiff contract statute liability constitutional jurisdiction "
        "crime evidence property tort negligence jury trial owner legal rights"
    ),
    "economics": (
        "price market demand supply cost costs inflation firm tax income interest bank "
        "investment profit revenue gdp monetary fiscal economy goods accounting stock"
    ),
    "mind": (
        "theory moral ethical philosophy argument belief knowledge psychology behavior social "
        "cognitive emotion according self virtue utilitarian"
    ),
    "history": (
        "war century king empire president revolution battle ancient treaty nation government "
        "colonial political party roman british"
    ),
    "entertainment": (
        "movie film song actor actress singer band album show season episode game team won "
        "played book novel author written wrote sings plays character series cast star"
    ),
    "puzzle": (
        "puzzle grid board move moves player game cards dice maze sudoku row column cell "
        "colour color red blue green black white path rule rules pattern shortest"
    ),
    "format": ("answer respond format only exactly following example examples output reply give final must brackets"),
    "effort": ("think carefully hard difficult step reasoning reason challenging tricky detailed thorough complex"),
}
CLASSES = tuple(CUES)


def cue_table(tokens: Sequence[str]) -> NDArray[np.intp]:
    """(V,) the class of each vocabulary row: an index into CLASSES, or len(CLASSES) for none.

    A word that two classes name belongs to the first.
    """
    classes: dict[str, int] = {}
    for number, words in enumerate(CUES.values()):
        for word in words.split():
            classes.setdefault(word, number)
    return np.array([classes.get(token, len(CLASSES)) for token in tokens], dtype=np.intp)
