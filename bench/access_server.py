"""The access process as `berth access` runs it, against the API server of a kubeconfig.

python -m bench.access_server KUBECONFIG
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop

from berth.runtime.logs import configure_logs
from berth.services.access.process import serve
from berth.settings import AccessSettings

if __name__ == "__main__":
    settings = AccessSettings.model_validate({})
    configure_logs("access", settings.log_level)
    sys.exit(0 if uvloop.run(serve(settings, Path(sys.argv[1]))) else 1)
