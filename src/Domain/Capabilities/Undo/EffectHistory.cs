using System.Collections.Immutable;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>
/// Effects as the events of runs and undos tell them: a pure fold. It takes the events of one tenant in the order of their sequence, of all streams or of
/// those that matter; events that tell nothing of effects change nothing.
/// </summary>
public sealed record EffectHistory
{
    public static readonly EffectHistory Empty = new();

    private ImmutableDictionary<Guid, RunStarted> Runs { get; init; } = ImmutableDictionary<Guid, RunStarted>.Empty;

    private ImmutableDictionary<EffectId, EffectRecord> Effects { get; init; } = ImmutableDictionary<EffectId, EffectRecord>.Empty;

    public IReadOnlyList<EffectRecord> Records => [.. Effects.Values.OrderBy(e => e.Order)];

    public EffectRecord? Find(EffectId effect) => Effects.GetValueOrDefault(effect);

    public static EffectHistory Of(IEnumerable<RecordedEvent> events) => events.Aggregate(Empty, (history, recorded) => history.Apply(recorded));

    // The sequence is drawn when the events are appended: whoever planned after an effect was performed has a higher one than its intent.
    public EffectHistory Apply(RecordedEvent recorded) => recorded.Data switch
    {
        RunStarted e => this with { Runs = Runs.SetItem(recorded.StreamId, e) },
        StageCompleted e => Apply(e, recorded),
        EffectIntended e => Apply(e, recorded),
        EffectConfirmed e => With(e.EffectId, effect => effect with { Knowledge = EffectKnowledge.Confirmed, Touches = e.Touches, LastTouches = e.Touches }),
        EffectFailed e => this with { Effects = Effects.Remove(e.EffectId) },
        EffectUnknown e => With(e.EffectId, effect => effect with { Knowledge = EffectKnowledge.Unknown }),
        EffectUndone e => With(e.EffectId, effect => Changed(effect, e.Stands, recorded) with
        {
            Applied = e.Stands,
            LastTouches = e.Touches,
            LastOrder = recorded.Sequence,
            Inverse = e.Inverse,
        }),
        EffectUndoSkipped e => With(e.EffectId, effect => Changed(effect, e.Stands, recorded)),
        EffectUndoRefused e => With(e.EffectId, effect => effect with
        {
            Stands = e.Stands,
            Knowledge = e.MayHaveHappened ? EffectKnowledge.Unknown : effect.Knowledge,
        }),
        _ => this,
    };

    private static EffectRecord Changed(EffectRecord effect, bool stands, RecordedEvent recorded) =>
        effect.Stands == stands ? effect : effect with { Stands = stands, ChangedOrder = recorded.Sequence, ChangedBy = UndoId.From(recorded.StreamId) };

    private EffectHistory Apply(EffectIntended e, RecordedEvent recorded) => Runs.TryGetValue(recorded.StreamId, out var run)
        ? this with
        {
            Effects = Effects.SetItem(e.EffectId, new EffectRecord(
                e.EffectId, run.RunId, e.Path, e.Capability, e.Class, e.Kind, e.Touches, e.Inverse, run.Grant, recorded.Sequence, e.At, run.StartedBy)
            {
                Knowledge = EffectKnowledge.UnderWay,
            }),
        }
        : throw new ArgumentException($"Stream {recorded.StreamId} tells an effect before its run began.", nameof(recorded));

    /// <summary>A stage without effect read something: what the run did afterwards may be made of it.</summary>
    private EffectHistory Apply(StageCompleted e, RecordedEvent recorded)
    {
        if (e.Touches is not { Count: > 0 } touches || !Runs.TryGetValue(recorded.StreamId, out var run)) { return this; }
        var id = EffectId.Of(run.RunId, e.Path, e.Attempt);
        return Effects.ContainsKey(id)
            ? this
            : this with
            {
                Effects = Effects.Add(id, new EffectRecord(
                    id, run.RunId, e.Path, "", EffectClass.Pure, EffectKind.Register, touches, null, run.Grant, recorded.Sequence, e.At, run.StartedBy)),
            };
    }

    private EffectHistory With(EffectId id, Func<EffectRecord, EffectRecord> change) =>
        Effects.TryGetValue(id, out var effect) ? this with { Effects = Effects.SetItem(id, change(effect)) } : this;
}
