-- Sends what wrk's options say; ends with a line for bench/wrk.py.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'wrk-report: {"requests": %d, "bytes": %d, "seconds": %.6f, "failed": %d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
