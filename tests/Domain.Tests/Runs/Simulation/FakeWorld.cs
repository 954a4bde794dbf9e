using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons;
using Platform.Domain.Inference;

namespace Platform.Domain.Tests.Runs.Simulation;

/// <summary>Thrown where the process dies.</summary>
public sealed class CrashException(string where) : Exception(where);

/// <summary>
/// A world in memory: a set of made things, by key. Outlives crashes. What it answers depends on what it is asked and how often that
/// was asked before, never on the order of other questions, so that a crashed run and a whole one meet the same world.
/// </summary>
public sealed class FakeWorld(int seed) : IAgentModel, IScriptSandbox, ICapabilityRegistry, ICapability
{
    private static readonly CapabilityDescriptor Effectful = new(
        "world.make", "1", "Makes a thing", EffectClass.Reversible, EffectKind.CreatedObject, false, JsonElement.Parse("true"u8), JsonElement.Parse("true"u8));

    private readonly PureCapability reader = new();

    /// <summary>What was made, and how often.</summary>
    public Dictionary<string, int> Made { get; } = new(StringComparer.Ordinal);

    /// <summary>Called at moments where a process may die.</summary>
    public Action<string> Point { get; set; } = _ => { };

    public CapabilityDescriptor Descriptor => Effectful;

    public IReadOnlyList<CapabilityDescriptor> All => [Effectful, reader.Descriptor];

    public ICapability? Find(string name) => name == Effectful.Name ? this : name == reader.Descriptor.Name ? reader : null;

    public bool Serves(string model) => model == "local";

    public Task<AgentAnswer> Answer(AgentRequest request, CancellationToken cancellation)
    {
        Point("agent");
        var asked = request.Instructions + string.Join(';', request.Parts.Select(p => p.Value.GetRawText()));
        return Chance(asked, 20)
            ? throw new AgentException("provider_error", $"No answer to {asked}")
            : Task.FromResult(new AgentAnswer(JsonElement.Parse($"\"answer {ContentHash.Of(asked)[..6]}\""), asked.Length, 3, "local", "fake"));
    }

    public Task<ScriptOutcome> Run(ScriptJob job, CancellationToken cancellation)
    {
        Point("script");
        var asked = job.Script + CanonicalText(job.Input);
        var code = Chance(asked, 20) ? 1 : 0;
        return Task.FromResult(new ScriptOutcome(code, JsonElement.Parse("{\"z\":1,\"a\":[1.50,\"x\"]}"), code == 0 ? "" : "went wrong", TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 1, ScriptLimitHit.None, "fake"));
    }

    public Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation)
    {
        Point("plan");
        var thing = Thing(call);
        return Chance("plan" + thing, 10)
            ? throw new CapabilityException("connection", $"{thing} cannot be reached")
            : Task.FromResult(new EffectPlan([new Touch($"world:{thing}", Access.Create, Image.Absent)], new InversePlan("world.unmake", call.Arguments)));
    }

    public Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
    {
        var thing = Thing(call);
        Point("before perform");
        if (Chance("perform" + thing, 15)) { throw new CapabilityException("io", $"{thing} could not be made"); }
        Made[thing] = Made.GetValueOrDefault(thing) + 1;
        Point("after perform");
        return Task.FromResult(Result(thing));
    }

    public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
    {
        Point("read back");
        var thing = Thing(call);
        return Task.FromResult<ReadBack>(Made.ContainsKey(thing) ? new ReadBack.Applied(Result(thing)) : new ReadBack.NotApplied());
    }

    private static EffectResult Result(string thing) => new(
        JsonElement.Parse($"{{\"made\":\"{thing}\"}}"), [new Touch($"world:{thing}", Access.Create, Image.Absent, new Image("value", ContentHash.Of(thing)))]);

    // One thing for each attempt: an effect that failed was not made, and its next attempt is another effect.
    private static string Thing(CapabilityCall call) => call.IdempotencyKey;

    private static string CanonicalText(JsonElement value) => System.Text.Encoding.UTF8.GetString(CanonicalJson.Bytes(value));

    private bool Chance(string about, int percent)
    {
        var hash = ContentHash.Of($"{seed}:{about}");
        return Convert.ToInt32(hash[..4], 16) % 100 < percent;
    }

    private sealed class PureCapability : ICapability
    {
        public CapabilityDescriptor Descriptor { get; } = new(
            "world.look", "1", "Looks", EffectClass.Pure, EffectKind.Register, true, JsonElement.Parse("true"u8), JsonElement.Parse("true"u8));

        public Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation) => Task.FromResult(new EffectPlan([], null));

        public Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) =>
            Task.FromResult(new EffectResult(JsonElement.Parse("{\"seen\":[3,1,2],\"by\":\"me\"}"), [new Touch("world:sky", Access.Read, new Image("value", "00"))]));

        public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) => throw new NotSupportedException("Nothing to read back.");
    }
}
