using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Platform.EventStore.Projections;
using Platform.EventStore.Subscriptions;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform projections</c>: the readers of the log, read models and subscriptions, how far they are, and what they could not take.</summary>
internal static class ProjectionsCommand
{
    /// <summary>Keys of documents that differ, shown as text; JSON has all.</summary>
    private const int MaxShown = 20;

    public static Command Create(Commands commands)
    {
        var name = new Argument<string>("NAME") { Description = "Of a projection or a subscription." };
        var perhaps = new Argument<string?>("NAME") { Description = "Of a projection; without it, all.", Arity = ArgumentArity.ZeroOrOne };
        var any = new Argument<string?>("NAME") { Description = "Of a projection or a subscription; without it, all.", Arity = ArgumentArity.ZeroOrOne };
        var position = new Argument<long>("POSITION") { Description = "Of the event in the log." };
        var verify = new Option<bool>("--verify") { Description = "Fold the log again and compare with the documents; change nothing." };
        var limit = new Option<int>("--limit") { Description = "How many.", DefaultValueFactory = _ => 100 };
        var projections = commands.Add("projections", "Readers of the log: how far they are, and what they could not take.", [], (_, settings, stop) => List(settings, stop));
        projections.Add(commands.Add("rebuild", "Build documents anew from the log, beside the live ones, and switch.", [perhaps, verify], (parse, settings, stop) =>
            parse.GetValue(verify) ? Verify(settings, parse.GetValue(perhaps), stop) : Rebuild(settings, parse.GetValue(perhaps), stop)));
        projections.Add(commands.Add("parked", "Events that a reader could not take, and those that wait behind them.", [any, limit], (parse, settings, stop) =>
            Parked(settings, parse.GetValue(any), parse.GetValue(limit), stop)));
        projections.Add(commands.Add("retry", "Try parked events again; a projection's by a rebuild, discarded ones too.", [name], (parse, settings, stop) => Retry(settings, parse.GetValue(name)!, stop)));
        projections.Add(commands.Add("discard", "Leave a parked event out; what waits behind it goes on.", [name, position], (parse, settings, stop) =>
            Discard(settings, parse.GetValue(name)!, parse.GetValue(position), stop)));
        projections.Add(commands.Add("reset", "Let a subscription go on after a position; 0: from the beginning.", [name, position], (parse, settings, stop) =>
            Reset(settings, parse.GetValue(name)!, parse.GetValue(position), stop)));
        return projections;
    }

    private static async Task<int> List(Settings settings, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        installation.Node.StartReading();
        var projections = await installation.Node.ProjectionRunner!.Status(stop);
        var subscriptions = await new SubscriptionControl(installation.Node.Store).Status(stop);
        if (settings.Terminal.Json)
        {
            foreach (var one in projections)
            {
                settings.Terminal.Record(new JsonObject
                {
                    ["name"] = one.Name,
                    ["kind"] = Kind(one),
                    ["version"] = one.Version,
                    ["generation"] = one.Generation,
                    ["state"] = State(one),
                    ["position"] = one.Position,
                    ["lag"] = one.Lag,
                    ["lagSeconds"] = Math.Round(one.Behind.TotalSeconds, 3),
                    ["parked"] = one.Parked,
                    ["discarded"] = one.Discarded,
                });
            }

            foreach (var one in subscriptions)
            {
                settings.Terminal.Record(new JsonObject
                {
                    ["name"] = one.Name,
                    ["kind"] = "subscription",
                    ["state"] = one.Error is null ? "live" : "waiting",
                    ["position"] = one.Position,
                    ["lag"] = one.Lag,
                    ["lagSeconds"] = Math.Round(one.Behind.TotalSeconds, 3),
                    ["parked"] = one.Parked,
                    ["error"] = one.Error,
                });
            }

            return ExitCode.Done;
        }

        settings.Terminal.Table(
            ["NAME", "KIND", "STATE", "POSITION", "LAG", "BEHIND", "PARKED"],
            [
                .. projections.Select(one => Row(one.Name, Kind(one), State(one), one.Position, one.Lag, one.Behind, one.Parked)),
                .. subscriptions.Select(one => Row(Terminal.Safe(one.Name), "subscription", one.Error is null ? "live" : Terminal.Safe(one.Error), one.Position, one.Lag, one.Behind, one.Parked)),
            ],
            "None yet.");
        return ExitCode.Done;
    }

    private static async Task<int> Rebuild(Settings settings, string? name, CancellationToken stop)
    {
        var known = Known(name);
        await using var installation = await Installation.Open(settings, stop);
        installation.Node.StartReading();
        var runner = installation.Node.ProjectionRunner!;
        foreach (var projection in known)
        {
            await Switch(settings, runner, projection.Name, await runner.Rebuild(projection.Name, stop), stop);
        }

        return ExitCode.Done;
    }

    private static async Task<int> Verify(Settings settings, string? name, CancellationToken stop)
    {
        var known = Known(name);
        await using var installation = await Installation.Open(settings, stop);
        installation.Node.StartReading();
        await installation.Runs.CatchUp(stop);
        var sound = true;
        foreach (var projection in known)
        {
            var (compared, different) = await installation.Node.Documents.Verify(projection, stop);
            sound &= different.Count == 0;
            if (settings.Terminal.Json)
            {
                settings.Terminal.Record(new JsonObject { ["name"] = projection.Name, ["same"] = different.Count == 0, ["documents"] = compared, ["different"] = new JsonArray([.. different.Select(key => (JsonNode)key)]) });
                continue;
            }

            settings.Terminal.Line(different.Count == 0
                ? $"{settings.Terminal.Paint("same", Ink.Green),-10} {projection.Name}: {compared} documents, byte for byte"
                : $"{settings.Terminal.Paint("different", Ink.Red),-10} {projection.Name}: {different.Count} of {compared} documents; `platform projections rebuild {projection.Name}` heals them");
            foreach (var key in different.Take(MaxShown)) { settings.Terminal.Line($"           {Terminal.Safe(key)}"); }
        }

        return sound ? ExitCode.Done : ExitCode.Failed;
    }

    private static async Task<int> Parked(Settings settings, string? name, int limit, CancellationToken stop)
    {
        if (limit is < 1 or > ParkedEvent.MaxListed) { throw new ProblemException(new Problem("projections.limit", $"--limit is {limit}: 1 to {ParkedEvent.MaxListed}.")); }
        await using var installation = await Installation.Open(settings, stop);
        var parked = await ParkedEvent.List(installation.Node.Store, name, limit, stop);
        if (settings.Terminal.Json)
        {
            foreach (var one in parked)
            {
                settings.Terminal.Record(new JsonObject
                {
                    ["name"] = one.Name,
                    ["position"] = one.Position,
                    ["tenant"] = one.Tenant.Value,
                    ["stream"] = one.StreamId,
                    ["error"] = one.Error,
                    ["attempts"] = one.Attempts,
                    ["parkedAt"] = RunJson.Time(one.ParkedAt),
                });
            }

            return ExitCode.Done;
        }

        settings.Terminal.Table(
            ["NAME", "POSITION", "STREAM", "PARKED", "WHY"],
            [.. parked.Select(one => (IReadOnlyList<string>)[Terminal.Safe(one.Name), Number(one.Position), one.StreamId.ToString(), RunJson.Time(one.ParkedAt), Terminal.Safe(one.Error ?? "waits behind another of its stream")])],
            "Nothing is parked.");
        return ExitCode.Done;
    }

    private static async Task<int> Retry(Settings settings, string name, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        if (IsProjection(name))
        {
            installation.Node.StartReading();
            var runner = installation.Node.ProjectionRunner!;
            await Switch(settings, runner, name, await runner.Retry(name, stop), stop);
            return ExitCode.Done;
        }

        if (!await new SubscriptionControl(installation.Node.Store).Retry(name, stop)) { throw NotFound(name); }
        Say(settings, new JsonObject { ["name"] = name, ["retried"] = true }, $"The node that has '{name}' tries its parked events again.");
        return ExitCode.Done;
    }

    private static async Task<int> Discard(Settings settings, string name, long position, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        var none = new ProblemException(new Problem("projections.not-parked", $"'{name}' has no event parked for itself at position {position}. `platform projections parked` lists them.", 404));
        if (IsProjection(name))
        {
            installation.Node.StartReading();
            var runner = installation.Node.ProjectionRunner!;
            await Switch(settings, runner, name, await runner.Discard(name, position, Installation.User, stop) ?? throw none, stop);
            return ExitCode.Done;
        }

        if (!await new SubscriptionControl(installation.Node.Store).Discard(name, position, stop)) { throw none; }
        Say(settings, new JsonObject { ["name"] = name, ["discarded"] = position }, $"Left out. The node that has '{name}' goes on with what waited behind it.");
        return ExitCode.Done;
    }

    private static async Task<int> Reset(Settings settings, string name, long position, CancellationToken stop)
    {
        if (position < 0) { throw new ProblemException(new Problem("projections.position", $"Position {position} is below 0.")); }
        if (IsProjection(name)) { throw new ProblemException(new Problem("projections.no-subscription", $"'{name}' is a projection: rebuild it.")); }
        await using var installation = await Installation.Open(settings, stop);
        if (!await new SubscriptionControl(installation.Node.Store).Reset(name, position, stop)) { throw NotFound(name); }
        Say(settings, new JsonObject { ["name"] = name, ["position"] = position }, $"'{name}' goes on after position {position}.");
        return ExitCode.Done;
    }

    private static async Task Switch(Settings settings, ProjectionRunner runner, string name, long generation, CancellationToken stop)
    {
        await runner.WaitForGeneration(name, generation, stop);
        var live = (await runner.Status(stop)).First(one => one.Name == name && one.Live);
        Say(
            settings,
            new JsonObject { ["name"] = name, ["generation"] = live.Generation, ["position"] = live.Position, ["parked"] = live.Parked },
            $"{name}: generation {live.Generation} is live{(live.Parked == 0 ? "" : $"; {live.Parked} events are parked")}.");
    }

    private static void Say(Settings settings, JsonObject json, string text)
    {
        if (settings.Terminal.Json) { settings.Terminal.Record(json); }
        else { settings.Terminal.Line(text); }
    }

    private static IReadOnlyList<string> Row(string name, string kind, string state, long position, long lag, TimeSpan behind, int parked) =>
        [name, kind, state, Number(position), Number(lag), lag == 0 ? "" : $"{behind.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s", Number(parked)];

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Kind(ProjectionStatus one) => one.Lifecycle switch { ProjectionLifecycle.Inline => "inline", ProjectionLifecycle.Async => "async" };

    private static string State(ProjectionStatus one) => one.Live ? "live" : $"building {one.Generation}";

    private static bool IsProjection(string name) => Node.Projections.Any(one => one.Name == name);

    private static IReadOnlyList<Projection> Known(string? name) => name is null ? Node.Projections : [Node.Projections.FirstOrDefault(one => one.Name == name) ?? throw NotFound(name)];

    private static ProblemException NotFound(string name) =>
        new(new Problem("projections.not-found", $"There is no projection or subscription '{name}'. `platform projections` lists them.", 404));
}
