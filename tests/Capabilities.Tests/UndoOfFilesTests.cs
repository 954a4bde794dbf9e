using Platform.Domain;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Capabilities.Tests;

public sealed class A_run_on_files_is_undone : IDisposable, IEffectHistory
{
    private static readonly RunId Run = new(DeterministicId.Of(Guid.Empty, "run"));
    private readonly FileWorld world = new();
    private EffectHistory history = EffectHistory.Empty;
    private long sequence;

    public void Dispose() => world.Dispose();

    public Task<IReadOnlyList<EffectRecord>> Around(TenantId tenant, UndoSelection selection, CancellationToken cancellation) => Task.FromResult(history.Records);

    public Task<EffectRecord?> Find(TenantId tenant, EffectId effect, CancellationToken cancellation) => Task.FromResult(history.Find(effect));

    [Fact]
    public async Task and_redone_and_undone_again()
    {
        await Sort();
        var sorted = Listing();
        var undo = await Undo(1, new UndoSelection { Run = Run });
        Assert.Equal((3, 0), (undo.Undone, undo.Refused));
        Assert.Equal("a.txt=one", Listing());
        var redo = await Undo(2, new UndoSelection { Undo = undo.Id });
        Assert.Equal((3, 0), (redo.Undone, redo.Refused));
        Assert.Equal(sorted, Listing());
        Assert.Equal(3, (await Undo(3, new UndoSelection { Undo = redo.Id })).Undone);
        Assert.Equal("a.txt=one", Listing());
    }

    [Fact]
    public async Task but_not_a_file_that_a_person_has_changed_since()
    {
        await Sort();
        await File.WriteAllTextAsync(world.At("README.md"), "by hand", TestContext.Current.CancellationToken);
        var undo = await Undo(1, new UndoSelection { Run = Run });
        Assert.Equal((2, 1), (undo.Undone, undo.Refused));
        Assert.Equal("README.md=by hand, a.txt=one", Listing());
    }

    private async Task Sort()
    {
        await File.WriteAllTextAsync(world.At("a.txt"), "one", TestContext.Current.CancellationToken);
        Record(Run.Value, new RunStarted(Run, "sort", null, "", "", default, default, "ada", new RunBudget(), world.Grant, 1, new Dictionary<string, string>(), [], default));
        await Do("move", "files.move", $$"""{ "from": "{{world.At("a.txt")}}", "to": "{{world.At("letters/")}}" }""");
        await Do("append", "files.append", $$"""{ "path": "{{world.At("letters/a.txt")}}", "text": " two" }""");
        await Do("readme", "files.write", $$"""{ "path": "{{world.At("README.md")}}", "text": "sorted" }""");
    }

    private async Task Do(string stage, string capability, string arguments)
    {
        var call = world.Call(capability, arguments);
        var (plan, result) = await world.Do(call);
        var descriptor = world.Of(call).Descriptor;
        var id = EffectId.Of(Run, stage, 1);
        Record(Run.Value, new EffectIntended(id, stage, 1, capability, "1", descriptor.Class, descriptor.Kind, call.IdempotencyKey, call.Arguments, "", plan.Touches, plan.Inverse, false, default));
        Record(Run.Value, new EffectConfirmed(id, stage, 1, result.Result, result.Touches, false, default));
    }

    private async Task<Undo> Undo(int number, UndoSelection selection)
    {
        var id = new UndoId(DeterministicId.Of(Guid.Empty, FormattableString.Invariant($"undo {number}")));
        var envelope = new Envelope(Guid.Empty, TenantId.Default, "", null, default, EventMetadata.None, Attempts: 1);
        Undo? undo = null;
        var queue = new Queue<object>([new RequestUndo(id, selection, "ada")]);
        while (queue.TryDequeue(out var message))
        {
            var (events, messages) = message switch
            {
                RequestUndo c => RequestUndoHandler.Handle(c, undo, await RequestUndoHandler.LoadAsync(c, undo, TenantId.Default, this, default), default),
                UndoNextEffect c => UndoNextEffectHandler.Handle(c, undo!, await UndoNextEffectHandler.LoadAsync(c, undo!, TenantId.Default, this, world.Registry, envelope, default), default),
                PerformInverse c => PerformInverseHandler.Handle(c, undo!, await PerformInverseHandler.LoadAsync(c, undo!, world.Registry, envelope, TimeProvider.System, default), default),
                _ => throw new ArgumentException($"{message} is handled by nobody."),
            };
            foreach (var fact in events)
            {
                undo = Folds.Undo.Evolve(undo, fact);
                Record(id.Value, fact);
            }

            foreach (OutgoingMessage next in messages) { queue.Enqueue(next.Message); }
        }

        return undo!;
    }

    private string Listing() => string.Join(", ", Directory.EnumerateFiles(world.Root, "*", SearchOption.AllDirectories)
        .Select(f => $"{Path.GetRelativePath(world.Root, f)}={File.ReadAllText(f)}").Order(StringComparer.Ordinal));

    private void Record(Guid stream, object fact) =>
        history = history.Apply(new RecordedEvent(0, ++sequence, Guid.Empty, TenantId.Default, stream, null, 0, "", fact, default, EventMetadata.None));
}
