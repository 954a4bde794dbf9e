using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons;
using Platform.Domain.Inference;
using Platform.Messaging;

namespace Platform.Domain.Tests.Runs.Simulation;

/// <summary>
/// One run on a machine that dies. Events and messages that were committed survive, as text like jsonb gives it back; state, what is in
/// flight, and an uncommitted decision do not. A message is taken again until a decision on it is committed, and sometimes once more after.
/// </summary>
public sealed class SimulatedHost(IAgentModel agents, IScriptSandbox scripts, ICapabilityRegistry capabilities, Random random, Func<bool> diesNow)
{
    public SimulatedHost(FakeWorld world, Random random, Func<bool> diesNow)
        : this(world, world, world, random, diesNow)
    {
    }

    private static readonly JsonWriterOptions Spaced = new() { Indented = true };

    private readonly List<(Type Type, string Json)> log = [];
    private readonly List<Row> rows = [];
    private Run? memory;
    private int inMemory;
    private DateTimeOffset now = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    public int Crashes { get; private set; }

    public Run? State => Fold();

    public IReadOnlyList<IRunEvent> Events => [.. log.Select(Read)];

    /// <summary>Starts the run and handles messages until none is left.</summary>
    /// <param name="cancelAfter">Cancels once the log has this many events.</param>
    public async Task Drive(StartRun start, int? cancelAfter)
    {
        rows.Add(new Row(start, now));
        var cancelled = false;
        for (var steps = 0; rows.Count > 0; steps++)
        {
            Assert.True(steps < 20_000, "The run does not end.");
            if (cancelAfter is { } many && !cancelled && log.Count >= many)
            {
                cancelled = true;
                rows.Add(new Row(new CancelRun(start.RunId, "simulator", "enough"), now));
            }

            // Without a crash messages are taken in order of their moment; which of several due is random, as on a machine with many threads.
            foreach (var idle in rows) { idle.IsInFlight = false; }
            var earliest = rows.Min(r => r.Due);
            if (earliest > now) { now = earliest; }
            var due = rows.Where(r => r.Due <= now).ToList();
            var row = due[random.Next(due.Count)];
            now += TimeSpan.FromMilliseconds(random.Next(400));
            try
            {
                await Handle(row);
            }
            catch (CrashException)
            {
                Crashes++;
                memory = null;
                inMemory = 0;
            }
        }
    }

    private async Task Handle(Row row)
    {
        row.Attempts++;
        row.IsInFlight = true;
        var run = Fold();
        var envelope = new Envelope(Guid.Empty, TenantId.Default, "", null, default, EventMetadata.None, Attempts: row.Attempts);
        var cancellation = TestContext.Current.CancellationToken;
        (Events Events, OutgoingMessages Messages) decided;
        switch (row.Message)
        {
            case StartRun m:
                Assert.Null(StartRunHandler.Validate(m));
                decided = StartRunHandler.Handle(m, run, await StartRunHandler.LoadAsync(m, capabilities, cancellation), now);
                break;
            case ExecuteStage m:
                var outcome = await ExecuteStageHandler.LoadAsync(m, run!, agents, scripts, capabilities, TimeProvider.System, cancellation);
                await Meanwhile();
                decided = ExecuteStageHandler.Handle(m, Fold()!, outcome, now);
                break;
            case PerformEffect m:
                var effect = await PerformEffectHandler.LoadAsync(m, run!, capabilities, envelope, TimeProvider.System, cancellation);
                await Meanwhile();
                decided = PerformEffectHandler.Handle(m, Fold()!, effect, now);
                break;
            case RetryStage m: decided = RetryStageHandler.Handle(m, run!, now); break;
            case ContinueRun m: decided = ContinueRunHandler.Handle(m, run!, now); break;
            case CheckDeadline m: decided = CheckDeadlineHandler.Handle(m, run!, now); break;
            case CancelRun m: decided = CancelRunHandler.Handle(m, run!, now); break;
            case Domain.Capabilities.Undoing.RequestUndo: decided = ([], []); break;
            default: throw new ArgumentException($"Nobody handles {row.Message}.", nameof(row));
        }

        if (diesNow()) { throw new CrashException("before the commit"); }
        foreach (var fact in decided.Events) { log.Add(Write((IRunEvent)fact)); }
        foreach (OutgoingMessage message in decided.Messages) { rows.Add(new Row(message.Message, now + (message.After ?? TimeSpan.Zero))); }

        // A duplicate of what was already handled: some transports and some takeovers make one.
        if (row.Duplicate || random.Next(10) > 0) { rows.Remove(row); } else { row.Duplicate = true; }
        if (diesNow()) { throw new CrashException("after the commit"); }
    }

    // While one asks the world, another may be decided: the state that is asked about is not the state that is decided on.
    private async Task Meanwhile()
    {
        var others = rows.Where(r => r.Due <= now && !r.IsInFlight).ToList();
        if (others.Count > 0 && random.Next(2) == 0) { await Handle(others[random.Next(others.Count)]); }
    }

    private Run? Fold()
    {
        for (; inMemory < log.Count; inMemory++) { memory = Run.Evolve(memory, Read(log[inMemory])); }
        return memory;
    }

    // As jsonb: canonical, but spaced otherwise.
    private static (Type, string) Write(IRunEvent fact)
    {
        var element = CanonicalJson.Of(JsonSerializer.SerializeToElement(fact, TypeInfo(fact.GetType())));
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, Spaced)) { element.WriteTo(writer); }
        return (fact.GetType(), System.Text.Encoding.UTF8.GetString(stream.ToArray()));
    }

    private static IRunEvent Read((Type Type, string Json) stored) => (IRunEvent)JsonSerializer.Deserialize(stored.Json, TypeInfo(stored.Type))!;

    private static JsonTypeInfo TypeInfo(Type type) => DaemonsJson.Default.GetTypeInfo(type) ?? throw new ArgumentException($"{type} is not in DaemonsJson.", nameof(type));

    private sealed class Row(object message, DateTimeOffset due)
    {
        public object Message { get; } = message;

        public DateTimeOffset Due { get; } = due;

        public int Attempts { get; set; }

        public bool Duplicate { get; set; }

        public bool IsInFlight { get; set; }
    }
}
