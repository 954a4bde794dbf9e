using System.Collections.Immutable;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Projections;

/// <summary>One access to a resource.</summary>
/// <param name="EffectId">Null for a stage that only read.</param>
/// <param name="Position">Orders accesses across runs.</param>
public sealed record ResourceAccess(
    long Position, DateTimeOffset At, string RunId, string Stage, string? EffectId, Access Access, Image Before, Image? After);

/// <param name="LeftOut">Oldest accesses that are no longer listed.</param>
public sealed record ResourceHistory(string Resource, ImmutableList<ResourceAccess> Accesses, long LeftOut);

/// <summary>By resource: who read and changed it, in order. What an undo asks to learn who came after.</summary>
public static class EffectIndex
{
    /// <summary>Of one resource; the log has all.</summary>
    public const int MaxAccesses = 1_000;

    public static readonly Projection<ResourceHistory> Projection = new(
        "effect_index", 1, ProjectionLifecycle.Async, ProjectionsJson.Default.ResourceHistory, recorded => Touches(recorded.Data).Select(t => t.Resource).Distinct(StringComparer.Ordinal), Evolve, d => d.Resource);

    private static ResourceHistory Evolve(ResourceHistory? history, string key, RecordedEvent recorded)
    {
        history ??= new ResourceHistory(key, [], 0);
        var (stage, effect, at) = recorded.Data switch
        {
            EffectConfirmed e => (e.Path, e.EffectId.ToString(), e.At),
            StageCompleted e => (e.Path, (string?)null, e.At),
            _ => throw new ArgumentException($"{recorded.Alias} touches nothing.", nameof(recorded)),
        };
        var accesses = history.Accesses.AddRange(Touches(recorded.Data).Where(t => t.Resource == key).Select(t =>
            new ResourceAccess(recorded.Position, at, recorded.StreamId.ToString(), stage, effect, t.Access, t.Before, t.After)));
        var over = Math.Max(0, accesses.Count - MaxAccesses);
        return history with { Accesses = accesses.RemoveRange(0, over), LeftOut = history.LeftOut + over };
    }

    private static IReadOnlyList<Touch> Touches(object fact) => fact switch
    {
        EffectConfirmed e => e.Touches,
        StageCompleted { Touches: { } touches } => touches,
        _ => [],
    };
}
