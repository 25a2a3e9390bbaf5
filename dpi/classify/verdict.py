"""What a verdict is made of: the reason table that every naming rule points into, and the scale of confidence."""
from __future__ import annotations

import numpy as np

#: The words of the `confidence` column; the index is REASON.confidence. A higher number is better evidence.
CONFIDENCE = ("", "guess", "port", "network", "dns", "fingerprint", "name", "payload")
GUESS, PORT, NETWORK, DNS, FINGERPRINT, NAME, PAYLOAD = 1, 2, 3, 4, 5, 6, 7

#: One way a flow can get a name. 8 bytes. Number 0 means "none". The words for people are `RuleSet.reasons[number]`.
REASON = np.dtype((np.record, [
    ("protocol", "u2"),         # index in RuleSet.protocols; 0: says nothing of the wire protocol
    ("application", "u2"),      # index in RuleSet.applications; 0: says nothing of the application
    ("confidence", "u1"),       # index in CONFIDENCE
    ("pad", "u1", (3,)),
]))
assert REASON.itemsize == 8, REASON.itemsize

#: How a reason is said; {} is its value. The index is the reason's kind.
WORDS = ("", "server name under {}", "server name {}", "DNS answer for a name under {}", "DNS answer for {}", "certificate name under {}",
         "certificate name {}", 'user agent contains "{}"', 'ALPN "{}"', "network {}", "port {}", "first bytes", "IP protocol {}", "{} parsed")
(UNDER, WHOLE, DNS_UNDER, DNS_WHOLE, CERTIFICATE_UNDER, CERTIFICATE_WHOLE, AGENT, ALPN, PREFIX, NUMBER, FIRST_BYTES, IP_PROTOCOL,
 PARSED) = range(1, len(WORDS))
