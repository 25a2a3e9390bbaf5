"""Scripts that run real servers and clients in network namespaces and keep what they sent as small captures.

``python -m pcaps.make list`` names the captures, ``python -m pcaps.make NAME ...`` or ``all`` makes them anew.
"""
