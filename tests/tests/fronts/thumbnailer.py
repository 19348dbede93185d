"""A thumbnail made by GNOME's library, with the bwrap that is first in PATH, in the folder where this is started: of a file
that is a script, which the thumbnailer runs, so that it prints what a thumbnailer sees."""

import base64
import glob
import os
import struct
import sys
import zlib

import gi

gi.require_version("GnomeDesktop", "4.0")
from gi.repository import GnomeDesktop


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def image(width, height):
    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


folder = os.getcwd()
probe = open("probe.sh").read()
encoded = base64.b64encode(image(8, 4)).decode()
# What a thumbnailer leaves in its /tmp stays in the folder that the library made for it.
write(f"{folder}/made/file", f"({probe}) >/tmp/says\nls -A / /tmp >>/tmp/says\necho {encoded} | base64 -d >\"$1\"\n")
write(
    f"{folder}/share/thumbnailers/made.thumbnailer",
    "[Thumbnailer Entry]\nTryExec=sh\nExec=sh %i %o\nMimeType=application/x-made;\n",
)
os.mkdir("tmp")

factory = GnomeDesktop.DesktopThumbnailFactory.new(GnomeDesktop.DesktopThumbnailSize.NORMAL)
picture = factory.generate_thumbnail(f"file://{folder}/made/file", "application/x-made", None)
print("thumbnail", picture.get_width(), picture.get_height())
for says in glob.glob(f"{folder}/tmp/gnome-desktop-thumbnailer-*/says"):
    sys.stdout.write(open(says).read())
