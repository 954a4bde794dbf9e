using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;

namespace Platform.Domain.Tests.Undo;

/// <summary>A small world of named values, and the two capabilities that turn things round in it.</summary>
public sealed class ModelWorld : ICapabilityRegistry
{
    private readonly Dictionary<string, string> values = new(StringComparer.Ordinal);
    private readonly HashSet<string> done = new(StringComparer.Ordinal);

    public IReadOnlyList<CapabilityDescriptor> All => [];

    /// <summary>Called before something is performed; throws where the process dies.</summary>
    public Action? BeforePerform { get; set; }

    public Action? AfterPerform { get; set; }

    public string? this[string resource]
    {
        get => values.GetValueOrDefault(resource);
        set
        {
            if (value is null) { values.Remove(resource); }
            else { values[resource] = value; }
        }
    }

    public string Text => string.Join(", ", values.OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => $"{v.Key}={v.Value}"));

    public ICapability? Find(string name) => name is "model.put" or "model.add" ? new Change(this, name) : null;

    public static Image ImageOf(string? value) => value is null ? Image.Absent : new Image("value", value);

    public static InversePlan Put(string resource, string? expect, string? value) =>
        new("model.put", JsonElement.Parse(new JsonObject { ["resource"] = resource, ["expect"] = expect, ["value"] = value }.ToJsonString()));

    public static InversePlan Add(string resource, long delta) =>
        new("model.add", JsonElement.Parse(new JsonObject { ["resource"] = resource, ["delta"] = delta }.ToJsonString()));

    /// <summary>Nothing is there and zero are the same.</summary>
    public void Count(string resource, long delta)
    {
        var sum = long.Parse(this[resource] ?? "0", CultureInfo.InvariantCulture) + delta;
        this[resource] = sum == 0 ? null : sum.ToString(CultureInfo.InvariantCulture);
    }

    private sealed class Change(ModelWorld world, string name) : ICapability
    {
        public CapabilityDescriptor Descriptor { get; } = new(name, "1", "", EffectClass.Reversible, name == "model.add" ? EffectKind.Counter : EffectKind.Register, false, default, default);

        public Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation)
        {
            var (resource, expect, value, delta) = Read(call);
            if (name == "model.add") { return Task.FromResult(new EffectPlan([new Touch(resource, Access.Write, ImageOf(world[resource]))], Add(resource, -delta))); }
            if (world[resource] != expect) { throw Conflict(resource, expect); }
            var access = expect is null ? Access.Create : value is null ? Access.Delete : Access.Write;
            return Task.FromResult(new EffectPlan([new Touch(resource, access, ImageOf(expect), ImageOf(value))], Put(resource, value, expect)));
        }

        public Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
        {
            world.BeforePerform?.Invoke();
            var (resource, expect, value, delta) = Read(call);
            if (name == "model.add") { world.Count(resource, delta); }
            else if (world[resource] != expect) { throw Conflict(resource, expect); }
            else { world[resource] = value; }
            world.done.Add(call.IdempotencyKey);
            world.AfterPerform?.Invoke();
            return Task.FromResult(Result(plan));
        }

        public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) =>
            Task.FromResult<ReadBack>(world.done.Contains(call.IdempotencyKey) ? new ReadBack.Applied(Result(plan)) : new ReadBack.NotApplied());

        private EffectResult Result(EffectPlan plan) =>
            new(JsonElement.Parse("null"), [.. plan.Touches.Select(t => t.After is null ? t with { After = ImageOf(world[t.Resource]) } : t)]);

        private CapabilityException Conflict(string resource, string? expect) => new("conflict", $"{resource} is {world[resource] ?? "absent"}, not {expect ?? "absent"}.");

        private static (string Resource, string? Expect, string? Value, long Delta) Read(CapabilityCall call)
        {
            var a = call.Arguments;
            return (
                a.GetProperty("resource").GetString()!,
                a.TryGetProperty("expect", out var e) ? e.GetString() : null,
                a.TryGetProperty("value", out var v) ? v.GetString() : null,
                a.TryGetProperty("delta", out var d) ? d.GetInt64() : 0);
        }
    }
}
