-- Token requests that differ in a parameter without a meaning, so that no answer is one that was given before.
dofile(debug.getinfo(1, "S").source:sub(2):gsub("fresh.lua$", "report.lua"))

local number, path = 0, ""

function init(args)
  path = args[1]
  number = tonumber(args[2])
end

function request()
  number = number + 1
  return wrk.format("GET", path .. "&client_id=c" .. number)
end
