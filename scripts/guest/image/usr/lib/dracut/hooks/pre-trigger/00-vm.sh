#!/bin/sh
# A hook of dracut.modules(7): udev has started, and no root has been looked for.
/etc/start
