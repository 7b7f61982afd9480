"""The page to look at: `meritrec view` serves it on 127.0.0.1, to whoever holds the link, and it loads nothing else.

`server` has the sockets, `gate` says who may ask, `api` turns requests into operations, `operations` calls the device,
`assets/` is the page.
"""
