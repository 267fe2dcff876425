"""The access process as `berth access` runs it, against the API server of a kubeconfig.

python -m bench.access_server KUBECONFIG
"""

from __future__ import annotations

import sys
from pathlib import Path

from berth.runtime.logs import configure_logs
from berth.runtime.supervisor import run_process
from berth.services.access.process import serve
from berth.settings import AccessSettings

if __name__ == "__main__":
    settings = AccessSettings.model_validate({})
    configure_logs("access", settings.log_level)
    run_process(serve(settings, Path(sys.argv[1])))
