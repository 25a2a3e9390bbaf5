"""Package metadata of Fullspan. Tool settings are in pyproject.toml."""
import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
VERSION = re.search(r'^__version__ = "(.+)"', (HERE / "dpi" / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
RULES = [str(path.relative_to(HERE)) for path in sorted((HERE / "rules" / "apps").glob("*.toml"))]
EXAMPLES = [str(path.relative_to(HERE)) for path in sorted((HERE / "rules" / "examples" / "tags").glob("*.toml"))]

setup(
    name="fullspan",
    version=VERSION.group(1),
    description="Traffic measured, named and joined to customers: DPI and operations for network operators",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={"": "."},      # so that an editable install is a path, not a finder that takes 4 ms of each start
    packages=find_packages(include=["dpi", "dpi.*", "bss", "bss.*"]),
    package_data={"dpi": ["reports/html/*", "reports/language/*"], "bss": ["language/*", "migrations/*.mako", "pages/html/*", "samples/*", "samples/*/*"]},
    data_files=[("share/fullspan/rules/apps", RULES), ("share/fullspan/rules/examples/tags", EXAMPLES)],
    install_requires=[
        "chdb>=4.4,<5",
        "click>=8.1",
        "clickhouse-driver[lz4]>=0.2.9,<0.3",      # dpi/store/session.py sends blocks through its connection
        "jinja2>=3.1",
        "cronsim>=2.6",
        "grafana-foundation-sdk>=1769699998!10.1",
        "icmplib>=3.0.4",
        "llvmlite>=0.50,<0.51",
        "maxminddb>=2.6",
        "numba>=0.68,<0.69",       # kernels lean on how this release links and stores code: see dpi/jit.py
        "numpy>=2.1,<3",
        "prometheus-client>=0.22",
        "pyarrow>=15",
        "pyshark>=0.6",
        "rich>=13",
        "urllib3>=2.2",
        "weasyprint>=63",
        "xlsxwriter>=3.2",
        "zstandard>=0.22",
    ],
    extras_require={
        # the business layer: `fullspan bss`; a probe needs none of it
        "bss": ["alembic>=1.14", "argon2-cffi>=23.1", "authlib>=1.6", "chinese-calendar>=1.10", "cryptography>=43", "fastapi>=0.115", "httpx>=0.27",
                "openpyxl>=3.1", "phonenumbers>=8.13", "psycopg[binary,pool]>=3.2", "pydantic>=2.9", "pyotp>=2.9", "pypinyin>=0.53", "python-multipart>=0.0.12",
                "rapidfuzz>=3.10", "sqlalchemy>=2.0.36,<3", "uvicorn>=0.32", "uvloop>=0.21; platform_system != 'Windows'", "httptools>=0.6", "xlsxwriter>=3.2"],
        "pandas": ["pandas>=2.2"],
        "test": ["pytest>=8", "hypothesis>=6.100", "scapy>=2.6", "dpkt>=1.9.8", "cryptography>=43", "pandas>=2.2", "playwright>=1.45",
                 "mypy>=1.13", "ruff>=0.8", "import-linter>=2.1", "clickhouse-connect>=0.8", "aiosmtpd>=1.4.6", "mmdb_writer>=0.2.5",
                 "openpyxl>=3.1", "pypdf>=5", "schemathesis>=4", "time-machine>=2.16"],
    },
    entry_points={
        "console_scripts": ["fullspan = dpi.cli.main:main"],
        "fullspan.commands": [
            "replay = dpi.cli.replay:command",
            "report = dpi.cli.report:command",
            "query = dpi.cli.query:command",
            "flow = dpi.cli.flow:command",
            "rules = dpi.cli.rules:command",
            "doctor = dpi.cli.doctor:command",
            "whois = dpi.cli.whois:command",
            "audit = dpi.cli.audit:command",
            "hold = dpi.cli.hold:command",
            "alerts = dpi.cli.alerts:command",
            "bss = bss.cli:command",
        ],
    },
)
