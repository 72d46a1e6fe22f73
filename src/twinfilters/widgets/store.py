"""Storage of frames: what many have in common is kept once.

The markup of every picture is cut at its tags. Most pieces (glyphs, axes, the curves that do not move) are the same in
many frames, so a frame is a list of numbers of pieces: smaller than what compression makes of whole frames, whose
repetitions lie too far apart for it.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterator

from twinfilters.widgets.frames import Frame
from twinfilters.widgets.pictures import Picture

PIECE = re.compile(r"<[^>]*>[^<]*")


class Store:
    """Frames in the order of their combinations."""

    def __init__(self) -> None:
        self._pieces: dict[str, int] = {}
        self._frames: dict[Frame, int] = {}
        self._order: list[int] = []
        self._written: list[list] = []
        self._compressor = zlib.compressobj()
        self.size = 0

    def add(self, frame: Frame) -> None:
        """Add one; the size (compressed, in bytes) grows by about what it needs."""
        if frame not in self._frames:
            self._frames[frame] = len(self._frames)
            known = len(self._pieces)
            self._written.append([self._entry(picture) for picture in frame])
            news = [*list(self._pieces)[known:], self._written[-1]]
            self.size += len(self._compressor.compress(_json(news).encode()))
            self.size += len(self._compressor.flush(zlib.Z_SYNC_FLUSH))
        self._order.append(self._frames[frame])

    def _entry(self, picture: Picture) -> list:
        pieces = [self._pieces.setdefault(piece, len(self._pieces)) for piece in PIECE.findall(picture.html)]
        return [pieces, picture.width, picture.height, picture.description]

    def __iter__(self) -> Iterator[Frame]:
        """Each frame once."""
        return iter(self._frames)

    def __getitem__(self, number: int) -> Frame:
        """Frame of a combination."""
        return list(self._frames)[self._order[number]]

    def __len__(self) -> int:
        return len(self._order)

    def script(self, page: str) -> tuple[str, str]:
        """Give a key, and the script that puts the frames there.

        A classic script, because a page opened from a file may load neither JSON nor modules from beside it. The key
        is a hash of the content and of the page's markup.
        """
        content = {"order": self._order, "pieces": list(self._pieces), "frames": self._written}
        # </ would end a script element if somebody ever put the content into one.
        text = _json(content).replace("</", "<\\/")
        key = hashlib.sha256((text + page).encode()).hexdigest()[:16]
        return key, f'(self.tfExplore=self.tfExplore||{{}})["{key}"]={text};\n'


def _json(content) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
