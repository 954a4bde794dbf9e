using System.Globalization;
using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons;
using Platform.Messaging;

namespace Platform.Projections.Tests;

public class Projections_of_runs
{
    private static readonly DateTimeOffset Noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly RunId Id = new(new Guid(1, 0, 0, new byte[8]));

    private const string Daemon =
        """
        daemon:
          name: sorter
          stages:
            - { id: look, tool: files.list, with: { path: /in }, output: names }
            - { id: move, tool: files.move, with: { from: /in/a, to: /out/a } }
            - { id: note, set: { done: true } }
        """;

    [Fact]
    public void list_a_run_with_its_end_and_what_it_did()
    {
        var summary = Fold(RunList.Projection)[Id.ToString()];
        Assert.Equal("completed", summary.Status);
        Assert.Equal(3, summary.StagesDone);
        Assert.Equal(0, summary.StagesUnderWay);
        Assert.Equal(1, summary.Effects);
    }

    [Fact]
    public void tell_a_run_stage_by_stage()
    {
        var story = Log().Aggregate((RunStory?)null, RunTimeline.Evolve)!;
        Assert.Equal(["look success", "move success", "note success"], story.Stages.Select(s => $"{s.Path} {s.Status}"));
        Assert.Equal("confirmed", Assert.Single(story.Stages[1].Effects!).Status);
    }

    [Fact]
    public void say_in_a_sentence_who_did_what_to_what()
    {
        var entries = Log().ConvertAll(AuditTrail.Entry);
        Assert.Equal("Started 'sorter'.", entries[0].What);
        Assert.All(entries, e => Assert.Equal("ada", e.Who));
        Assert.Contains(entries, e => e.What == "Is about to do files.move on file:///in/a, file:///out/a.");
        Assert.Contains(entries, e => e.Resources.Contains("file:///out/a"));
    }

    [Fact]
    public void come_out_the_same_to_the_byte_when_rebuilt_and_when_stored_between_events()
    {
        Assert.Equal(Bytes(RunList.Projection, stored: false), Bytes(RunList.Projection, stored: true));
    }

    [Fact]
    public void have_a_sentence_for_every_event_of_a_run()
    {
        foreach (var type in typeof(IRunEvent).Assembly.GetTypes().Where(t => t.IsClass && t.IsAssignableTo(typeof(IRunEvent))))
        {
            var fact = System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(type);
            try { AuditTrail.Sentence(fact); }
            catch (Exception missing) when (missing is NullReferenceException or ArgumentNullException) { } // its text is there, its values are not
        }
    }

    private static Dictionary<string, T> Fold<T>(Projection<T> projection) where T : class
    {
        var documents = new Dictionary<string, T>(StringComparer.Ordinal);
        foreach (var recorded in Log())
        {
            foreach (var key in projection.Keys(recorded)) { documents[key] = (T)projection.Evolve(documents.GetValueOrDefault(key), key, recorded)!; }
        }

        return documents;
    }

    private static string Bytes(Projection projection, bool stored)
    {
        var documents = new SortedDictionary<string, object>(StringComparer.Ordinal);
        foreach (var recorded in Log())
        {
            foreach (var key in projection.Keys(recorded))
            {
                var document = projection.Evolve(documents.GetValueOrDefault(key), key, recorded)!;
                documents[key] = stored ? JsonSerializer.Deserialize(JsonSerializer.Serialize(document, projection.DocumentJson), projection.DocumentJson)! : document;
            }
        }

        return string.Join('\n', documents.Select(d => $"{d.Key} {projection.SortKey(d.Value)} {JsonSerializer.Serialize(d.Value, projection.DocumentJson)}"));
    }

    private static List<RecordedEvent> Log()
    {
        var facts = new List<IRunEvent>();
        Run? run = null;
        void Take((Events Events, OutgoingMessages Messages) decided)
        {
            foreach (var fact in decided.Events.Cast<IRunEvent>())
            {
                facts.Add(fact);
                run = Run.Evolve(run, fact);
            }
        }

        var daemon = DaemonDefinitions.Of(Daemon);
        Take(StartRunHandler.Handle(new StartRun(Id, Daemon, default, "ada"), null, new CapabilityPins(new Dictionary<string, string>()), Noon));
        Touch[] read = [new Touch("file:///in", Access.Read, new Image("folder"))];
        Take(Interpreter.Report(run!, daemon, "look", 1, new StageOutcome.Success(JsonElement.Parse("[\"a\"]"), 0m, true, null, read), Noon.AddSeconds(1)));
        var file = new Image("file", "aa", 3);
        Touch[] touches = [new Touch("file:///in/a", Access.Delete, file, Image.Absent), new Touch("file:///out/a", Access.Create, Image.Absent, file)];
        Take(Interpreter.Report(run!, daemon, "move", 1, new StageOutcome.Planned("files.move", "1", EffectClass.Reversible, EffectKind.Register, "k", JsonElement.Parse("{}"u8), new EffectPlan(touches, null), true), Noon.AddSeconds(2)));
        Take(Interpreter.Report(run!, daemon, facts.OfType<EffectIntended>().Single().EffectId, "move", new EffectOutcome.Confirmed(new EffectResult(JsonElement.Parse("{}"u8), touches), false), Noon.AddSeconds(3)));
        return [.. facts.Select((f, i) => Recorded(f, i + 1))];
    }

    private static RecordedEvent Recorded(IRunEvent fact, long position) => new(
        position, position, new Guid((int)position, 0, 0, new byte[8]), TenantId.Default, Id.Value, "run", position, fact.GetType().Name, fact, fact.At,
        new EventMetadata(position.ToString(CultureInfo.InvariantCulture), null, "ada"));
}
