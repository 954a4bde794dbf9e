using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons;
using Platform.Domain.Daemons.Format;
using Platform.Domain.Tests.Runs.Simulation;

namespace Platform.Domain.Tests.Format;

/// <summary>Nothing that the schema lets an author write is passed over in silence: each keyword runs, or is refused or noted in plain words, or is for readers.</summary>
public class Every_keyword
{
    private const string Table = "keywords.cases";

    private static readonly CheckContext Here = new(new RecordingWorld([]).All, ["m", "k"]);

    private sealed record Row(string Keyword, string Becomes, string With, string Other)
    {
        public override string ToString() => $"{Keyword} {Becomes} {With} | {Other}";
    }

    private static readonly IReadOnlyList<Row> Rows = [.. Cases.Read(Table).Split('\n').Where(line => line.Length > 0 && !line.StartsWith("# ", StringComparison.Ordinal)).Select(Read)];

    public static TheoryData<string> Lines => [.. Rows.Select(row => row.ToString())];

    private static Row Read(string line)
    {
        var head = line.Split(' ', 3);
        var bodies = head[2].Split(" | ");
        Assert.True(bodies.Length == 2, line);
        return new Row(head[0], head[1], bodies[0].Trim(), bodies[1].Trim());
    }

    [Theory]
    [MemberData(nameof(Lines))]
    public async Task does_what_the_table_says(string line)
    {
        var row = Read(line);
        var said = DaemonChecker.Check(DaemonParser.Parse(Whole(row.With)), Here);
        switch (row.Becomes)
        {
            case "runs":
                Assert.DoesNotContain(said, d => d.Code is "DMN020" or "DMN021");
                var (with, without) = (await Trace(row.With), await Trace(row.Other));
                Assert.False(with.SequenceEqual(without), $"With and without {row.Keyword} the same happens:\n{string.Join('\n', with)}");
                break;
            case "default" or "describes":
                Assert.Empty(said);
                Assert.Equal(await Trace(row.Other), await Trace(row.With));
                break;
            case "refused":
                Assert.Contains(said, d => d is { Severity: Severity.Error, Code: "DMN020" } && d.Message.StartsWith("not supported yet: ", StringComparison.Ordinal) && d.Message.Contains(row.Other, StringComparison.Ordinal));
                break;
            case "noted":
                Assert.Contains(said, d => d is { Severity: Severity.Warning, Code: "DMN021" } && d.Message.StartsWith("not supported yet: ", StringComparison.Ordinal) && d.Message.Contains(row.Other, StringComparison.Ordinal));
                break;
            default: throw new InvalidDataException($"'{row.Becomes}' says nothing: {line}");
        }

        // What is looked at is what the line is about.
        Assert.True(row.Keyword.StartsWith('.') || Whole(row.With).Contains(row.Keyword.Split('.', '=', '#')[^1].TrimEnd('[', ']'), StringComparison.Ordinal), line);
    }

    [Fact]
    public void of_the_schema_is_in_the_table_and_no_other()
    {
        using var schema = JsonDocument.Parse(DaemonSchema.Text);
        var known = new SortedSet<string>(StringComparer.Ordinal);
        Keywords(schema.RootElement, "", known);
        foreach (var shape in schema.RootElement.GetProperty("$defs").EnumerateObject()) { Keywords(shape.Value, "#" + shape.Name, known); }

        var told = Rows.Select(row => row.Keyword).ToHashSet(StringComparer.Ordinal);
        Assert.Empty(told.Except(known));

        // Values of an enumeration are looked at one by one where the keyword does something.
        var runs = Rows.Where(row => row.Becomes is "runs").Select(row => row.Keyword).ToHashSet(StringComparer.Ordinal);
        var properties = known.Where(keyword => !keyword.Contains('=')).ToHashSet(StringComparer.Ordinal);
        bool Wanted(string keyword) => keyword.Split('=') is [var of, _] ? !properties.Contains(of.Replace("[]", "", StringComparison.Ordinal)) || runs.Contains(of.Replace("[]", "", StringComparison.Ordinal)) : true;
        Assert.Empty(known.Where(Wanted).Except(told));
    }

    [Fact]
    public void that_is_only_for_readers_is_named_so_in_the_reference()
    {
        var paragraph = Cases.Document("daemon-format.md").Split("\n\n").Single(text => text.StartsWith("For readers only", StringComparison.Ordinal));
        Assert.All(Rows.Where(row => row.Becomes is "describes"), row => Assert.Contains($"`{row.Keyword.Split('.')[^1]}`", paragraph, StringComparison.Ordinal));
    }

    private static void Keywords(JsonElement schema, string path, SortedSet<string> found)
    {
        if (schema.ValueKind is not JsonValueKind.Object) { return; }
        if (schema.TryGetProperty("const", out var constant)) { found.Add($"{path}={constant}"); }
        if (schema.TryGetProperty("enum", out var values))
        {
            foreach (var value in values.EnumerateArray()) { found.Add($"{path}={value}"); }
        }

        if (schema.TryGetProperty("properties", out var properties))
        {
            foreach (var property in properties.EnumerateObject())
            {
                found.Add($"{path}.{property.Name}");
                Keywords(property.Value, $"{path}.{property.Name}", found);
            }
        }

        foreach (var one in (string[])["items", "additionalProperties"])
        {
            if (schema.TryGetProperty(one, out var inner)) { Keywords(inner, path + "[]", found); }
        }

        foreach (var several in (string[])["anyOf", "oneOf", "allOf"])
        {
            if (!schema.TryGetProperty(several, out var choices)) { continue; }
            foreach (var choice in choices.EnumerateArray()) { Keywords(choice, path, found); }
        }
    }

    private static string Whole(string body)
    {
        var lines = body.Replace(" ;; ", "\n", StringComparison.Ordinal);
        if (lines.StartsWith("! ", StringComparison.Ordinal)) { return lines[2..]; }
        if (lines.StartsWith("- ", StringComparison.Ordinal))
        {
            return $$"""
                daemon:
                  name: T
                  inputs: [{ name: n, type: integer, default: 3 }, { name: list, type: array, default: [1, 2, 3] }]
                  permissions: { network: any, files: { write: [/w] } }
                  stages:
                    {{lines.Replace("\n", "\n    ", StringComparison.Ordinal)}}
                """;
        }

        var stages = lines.Split('\n').Any(line => line.StartsWith("stages: ", StringComparison.Ordinal)) ? "" : "\n  stages: [{ tool: world.look, output: seen }]";
        return $"daemon:\n  name: T\n  {lines.Replace("\n", "\n  ", StringComparison.Ordinal)}{stages}";
    }

    /// <summary>All that comes of a daemon: what the checker says, what the world is asked, what is recorded. Without where it stands in its file.</summary>
    private static async Task<IReadOnlyList<string>> Trace(string body)
    {
        var yaml = Whole(body);
        var said = DaemonChecker.Check(DaemonParser.Parse(yaml), Here);
        var trace = said.Select(d => $"{d.Severity} {d.Code} {d.Message}").ToList();
        if (said.Any(d => d.Severity is Severity.Error)) { return trace; }

        var start = new StartRun(new RunId(new Guid(1, 0, 0, new byte[8])), yaml, JsonElement.Parse("{}"), "tester");
        if (StartRunHandler.Validate(start) is { } problem) { return [.. trace, problem.ToString()]; }

        var world = new RecordingWorld(trace);
        var host = new SimulatedHost(world, world, world, new Random(1), () => false);
        await host.Drive(start, null);
        foreach (var fact in host.Events)
        {
            var stored = fact is RunStarted started ? started with { DaemonText = "", DaemonHash = "" } : fact;
            trace.Add($"{stored.GetType().Name} {JsonSerializer.Serialize(stored, DaemonsJson.Default.GetTypeInfo(stored.GetType())!)}");
        }

        return trace;
    }

    /// <summary>
    /// Answers as it is told to in the question and writes every question down. To an agent and to a capability's argument <c>fail</c>: an error type;
    /// <c>hang</c>: no answer until it is given up; <c>json X</c>: X. A script <c>exit N</c> ends so.
    /// </summary>
    private sealed class RecordingWorld(List<string> asked) : Domain.Inference.IAgentModel, IScriptSandbox, ICapabilityRegistry
    {
        private readonly ICapability[] capabilities = [new Recorded("world.look", EffectClass.Pure, asked), new Recorded("world.make", EffectClass.Reversible, asked), new Recorded("http.get", EffectClass.Pure, asked)];

        public IReadOnlyList<CapabilityDescriptor> All => [.. capabilities.Select(one => one.Descriptor)];

        public ICapability? Find(string name) => capabilities.FirstOrDefault(one => one.Descriptor.Name == name);

        public bool Serves(string model) => model is "m" or "k";

        public async Task<Domain.Inference.AgentAnswer> Answer(Domain.Inference.AgentRequest request, CancellationToken cancellation)
        {
            asked.Add($"agent {JsonSerializer.Serialize(request)}");
            if (request.Instructions is "hang") { await Task.Delay(Timeout.Infinite, cancellation); }
            return request.Instructions.Split(' ', 2) is [var order, var what]
                ? order is "json" ? Of(what) : throw new Domain.Inference.AgentException(what, "as told")
                : Of("\"answer\"");

            Domain.Inference.AgentAnswer Of(string json) => new(JsonElement.Parse(json), 1, 1, request.Model, "told");
        }

        public Task<ScriptOutcome> Run(ScriptJob job, CancellationToken cancellation)
        {
            asked.Add($"script {JsonSerializer.Serialize(job)}");
            var code = job.Script.StartsWith("exit ", StringComparison.Ordinal) ? job.Script[5] - '0' : 0;
            return Task.FromResult(new ScriptOutcome(code, JsonElement.Parse("{\"z\":1}"), "", TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 1, ScriptLimitHit.None, "told"));
        }

        private sealed class Recorded(string name, EffectClass @class, List<string> asked) : ICapability
        {
            public CapabilityDescriptor Descriptor { get; } = new(name, "1", name, @class, EffectKind.Register, true, JsonElement.Parse("true"), JsonElement.Parse("true"));

            public Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation)
            {
                asked.Add($"{name} {JsonSerializer.Serialize(call)}");
                return call.Arguments.TryGetProperty("fail", out var type)
                    ? throw new CapabilityException(type.GetString()!, "as told")
                    : Task.FromResult(new EffectPlan([], @class is EffectClass.Pure ? null : new InversePlan("world.unmake", call.Arguments)));
            }

            public Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) => Task.FromResult(new EffectResult(JsonElement.Parse("{\"by\":\"me\"}"), []));

            public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) => throw new NotSupportedException("Nothing dies here.");
        }
    }
}
