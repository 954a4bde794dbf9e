using System.Globalization;
using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Domain.Tests.Undo;

public enum OpKind { Set, Add, Include, Exclude, Create, Copy, Look }

/// <summary>One act of an agent on the model world.</summary>
/// <param name="From">Of a copy: where it reads.</param>
public sealed record Op(int Agent, OpKind Kind, string Resource, int Value = 0, string? From = null)
{
    public override string ToString() => $"{(char)('A' + Agent)}:{Kind}({Resource}{(From is null ? "" : $" from {From}")},{Value})";
}

/// <summary>Runs of several agents in one log, over one world; undone through the real commands.</summary>
public sealed class ModelLog : IEffectHistory
{
    private static readonly DateTimeOffset Noon = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
    private readonly List<(EffectId Id, Op Op)> acts = [];
    private readonly HashSet<int> begun = [];
    private long sequence;
    private int undos;
    private int stages;

    public ModelWorld World { get; } = new();

    public EffectHistory History { get; private set; } = EffectHistory.Empty;

    public List<RecordedEvent> Recorded { get; } = [];

    public IReadOnlyList<EffectId> Effects => [.. acts.Select(a => a.Id)];

    public DateTimeOffset Now => Noon.AddMinutes(sequence);

    public UndoId UndoOf(int number) => new(DeterministicId.Of(Guid.Empty, FormattableString.Invariant($"undo {number}")));

    public static RunId RunOf(int agent) => new(DeterministicId.Of(Guid.Empty, FormattableString.Invariant($"agent {agent}")));

    public Task<IReadOnlyList<EffectRecord>> Around(TenantId tenant, UndoSelection selection, CancellationToken cancellation) => Task.FromResult(History.Records);

    public Task<EffectRecord?> Find(TenantId tenant, EffectId effect, CancellationToken cancellation) => Task.FromResult(History.Find(effect));

    /// <summary>Does it, and records it as a run would. A create where something is already is no act.</summary>
    public EffectId? Do(Op op)
    {
        if (op.Kind == OpKind.Create && World[op.Resource] is not null) { return null; }
        if (begun.Add(op.Agent)) { Record(RunOf(op.Agent).Value, Started(op.Agent)); }
        var path = FormattableString.Invariant($"s{stages++}");
        var id = EffectId.Of(RunOf(op.Agent), path, 1);
        if (op.Kind == OpKind.Look)
        {
            Record(RunOf(op.Agent).Value, new StageCompleted(path, 1, null, null, 0m, true, Now, Touches: [new Touch(op.Resource, Access.Read, ModelWorld.ImageOf(World[op.Resource]))]));
            return id;
        }

        var before = World[op.Resource];
        var source = op.From is null ? null : World[op.From];
        Perform(World, op);
        var after = World[op.Resource];
        var kind = op.Kind switch
        {
            OpKind.Add => EffectKind.Counter,
            OpKind.Include or OpKind.Exclude => EffectKind.Set,
            OpKind.Create => EffectKind.CreatedObject,
            OpKind.Set or OpKind.Copy or OpKind.Look => EffectKind.Register,
        };
        var inverse = op.Kind == OpKind.Add ? ModelWorld.Add(op.Resource, -op.Value) : ModelWorld.Put(op.Resource, after, before);
        var access = before is null ? Access.Create : after is null ? Access.Delete : Access.Write;
        List<Touch> touches = op.From is null ? [] : [new Touch(op.From, Access.Read, ModelWorld.ImageOf(source))];
        touches.Add(new Touch(op.Resource, access, ModelWorld.ImageOf(before), ModelWorld.ImageOf(after)));
        Record(RunOf(op.Agent).Value, new EffectIntended(id, path, 1, $"model.{op.Kind}", "1", EffectClass.Reversible, kind, id.ToString(), default, "", [.. touches.Select(t => t with { After = null })], inverse, false, Now));
        Record(RunOf(op.Agent).Value, new EffectConfirmed(id, path, 1, default, touches, false, Now));
        acts.Add((id, op));
        return id;
    }

    /// <summary>Carries the undo out to its end, message by message.</summary>
    /// <param name="by">Null: one who may undo what anybody did.</param>
    public async Task<Capabilities.Undoing.Undo> Undo(UndoSelection selection, Action<object>? seen = null, string? by = null, string? planHash = null)
    {
        if (by is null) { selection = selection with { Others = true }; }
        var id = UndoOf(undos++);
        Capabilities.Undoing.Undo? undo = null;
        var queue = new Queue<object>([new RequestUndo(id, selection, by ?? "tester", planHash)]);
        var attempts = 1;
        while (queue.TryPeek(out var message))
        {
            var envelope = new Envelope(Guid.Empty, TenantId.Default, "", null, default, EventMetadata.None, Attempts: attempts);
            try
            {
                var (events, messages) = message switch
                {
                    RequestUndo c => RequestUndoHandler.Handle(c, undo, await RequestUndoHandler.LoadAsync(c, undo, TenantId.Default, this, default), Now),
                    UndoNextEffect c => UndoNextEffectHandler.Handle(c, undo!, await UndoNextEffectHandler.LoadAsync(c, undo!, TenantId.Default, this, World, envelope, default), Now),
                    PerformInverse c => PerformInverseHandler.Handle(c, undo!, await PerformInverseHandler.LoadAsync(c, undo!, World, envelope, TimeProvider.System, default), Now),
                    _ => throw new ArgumentException($"{message} is handled by nobody."),
                };
                queue.Dequeue();
                attempts = 1;
                foreach (var fact in events)
                {
                    undo = Folds.Undo.Evolve(undo, fact);
                    Record(id.Value, fact);
                    seen?.Invoke(fact);
                }

                foreach (OutgoingMessage next in messages) { queue.Enqueue(next.Message); }
            }
            catch (ProcessDied) { attempts++; }
        }

        return undo!;
    }

    /// <summary>The world that a replay of the log gives, of those effects only that stand.</summary>
    public string Counterfactual()
    {
        var world = new ModelWorld();
        foreach (var (_, op) in acts.Where(a => History.Find(a.Id)!.Stands)) { Perform(world, op); }
        return world.Text;
    }

    private static void Perform(ModelWorld world, Op op)
    {
        switch (op.Kind)
        {
            case OpKind.Set: world[op.Resource] = op.Value == 0 ? null : op.Value.ToString(CultureInfo.InvariantCulture); break;
            case OpKind.Add: world.Count(op.Resource, op.Value); break;
            case OpKind.Include: world[op.Resource] = "in"; break;
            case OpKind.Exclude: world[op.Resource] = null; break;
            case OpKind.Create: world[op.Resource] ??= op.Value.ToString(CultureInfo.InvariantCulture); break;
            case OpKind.Copy: world[op.Resource] = world[op.From!]; break;
            case OpKind.Look: break;
        }
    }

    private void Record(Guid stream, object fact)
    {
        var recorded = new RecordedEvent(0, ++sequence, Guid.Empty, TenantId.Default, stream, null, 0, "", fact, Now, EventMetadata.None);
        Recorded.Add(recorded);
        History = History.Apply(recorded);
    }

    private static RunStarted Started(int agent) => new(
        RunOf(agent), "model", null, "", "", JsonElement.Parse("{}"), JsonElement.Parse("{}"), FormattableString.Invariant($"agent{agent}"),
        new RunBudget(), new Grant([], [], []), 1, new Dictionary<string, string>(), [], Noon);
}

/// <summary>The process ends here; the message comes again.</summary>
public sealed class ProcessDied : Exception
{
    public ProcessDied() : base("The process died.") { }
}
