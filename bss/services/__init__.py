"""Services and what they are made of: inventory.py and its states.py, resource.py, binding.py (what tells the probe whose traffic it is) with export.py and
correction.py, whois.py, leakage.py."""
