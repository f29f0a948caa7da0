"""Darknet's .cfg files: read into a graph, counted as darknet counts, written from any graph.

Source of the semantics: AlexeyAB/darknet, src/parser.c, of the years of the CSPNet paper (2019-2020). What
deviates: a batch normalisation adds 1e-5 to the variance (darknet 1e-6); `hard_swish` is an activation of ours;
numbers that darknet would read as zero, references to later layers and options that change the computation in a
way that the graph cannot say are errors here, and every other option that nobody knows is a note.

    DarknetError            every complaint: "FILE:LINE: what was given; what is allowed"
    read, parse -> Darknet  the graph, one row a layer, notes
    write -> Written        the text, notes
"""

from space.darknet.reader import Darknet, Row, parse, read
from space.darknet.syntax import DarknetError
from space.darknet.writer import Written, write

__all__ = ["Darknet", "DarknetError", "Row", "Written", "parse", "read", "write"]
