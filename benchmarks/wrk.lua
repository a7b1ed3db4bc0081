-- Print the result of a run of wrk as one line of JSON, with the latency in milliseconds that each of $SHARES took at most.
done = function(summary, latency)
  local curve, errors = {}, {}
  for share in os.getenv("SHARES"):gmatch("%S+") do
    local us = tonumber(share) < 1 and latency:percentile(share * 100) or latency.max
    curve[#curve + 1] = us / 1000
  end
  for why, count in pairs(summary.errors) do
    errors[#errors + 1] = string.format('"%s": %d', why, count)
  end
  local fields = '{"count": %d, "us": %d, "bytes": %d, "errors": {%s}, "curve_ms": [%s]}'
  local lists = { table.concat(errors, ", "), table.concat(curve, ", ") }
  print(string.format(fields, summary.requests, summary.duration, summary.bytes, lists[1], lists[2]))
end
