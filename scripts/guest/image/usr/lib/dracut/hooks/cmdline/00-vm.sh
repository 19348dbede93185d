#!/bin/sh
# A hook of dracut.modules(7), the first one: no root has been asked for yet.
/etc/start
