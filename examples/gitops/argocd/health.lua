-- Argo CD's health of a VirtualKey or Channel, by the conditions that kstatus reads too. Lua 5.1, as Argo CD runs it.
-- A suspended, revoked or expired object has reached what was asked for. Argo CD's own word "Suspended" would hold up all later sync waves until it is
-- resumed; write "Suspended" here if you would rather see the pause than go on.
local suspendedIs = "Healthy"

local function verdict(status, message)
  return { status = status, message = message }
end

if obj.metadata.deletionTimestamp ~= nil then
  return verdict("Progressing", "is being deleted")
end
if obj.status == nil or obj.status.conditions == nil then
  return verdict("Progressing", "the operator has not come to it yet")
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return verdict("Progressing", "the operator has not come to the last edit yet")
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local function words(name)
  return (conditions[name].reason or name) .. ": " .. (conditions[name].message or "")
end

-- only an edit mends it
if holds("Stalled") then
  return verdict("Degraded", words("Stalled"))
end
if holds("Reconciling") then
  return verdict("Progressing", words("Reconciling"))
end
if not holds("Ready") then
  return verdict("Progressing", conditions.Ready ~= nil and words("Ready") or "the operator has not come to it yet")
end
if conditions.Ready.reason == "Suspended" then
  return verdict(suspendedIs, words("Ready"))
end
return verdict("Healthy", words("Ready"))
