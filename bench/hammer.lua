-- Logins with wrong passwords of ever other names from ever other addresses, so that no limit stops them.
dofile(debug.getinfo(1, "S").source:sub(2):gsub("hammer.lua$", "report.lua"))

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local number = 0

local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for shift = 0, 3 do
      local index = math.floor(bits / 64 ^ (3 - shift)) % 64 + 1
      out[#out + 1] = (shift <= (c and 3 or b and 2 or 1)) and digits:sub(index, index) or "="
    end
  end
  return table.concat(out)
end

function request()
  number = number + 1
  wrk.headers["Authorization"] = "Basic " .. base64("user-" .. number .. ":wrong-" .. number)
  wrk.headers["X-Forwarded-For"] = "10." .. number % 200 .. "." .. math.floor(number / 200) % 250 .. ".9"
  return wrk.format("GET")
end
