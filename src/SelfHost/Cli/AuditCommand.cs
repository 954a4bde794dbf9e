using System.CommandLine;
using System.Text.Json.Nodes;
using Platform.EventStore.Audit;
using Platform.Hosting;
using Platform.Messaging;
using Platform.Projections;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform audit</c>: what happened in a run, sentence by sentence; <c>audit verify</c>: whether the log is as it was.</summary>
internal static class AuditCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string?>("RUN") { Description = "The run.", Arity = ArgumentArity.ZeroOrOne };
        var audit = commands.Add("audit", "What a run did: who, what, when, why, and what it touched.", [run], ["audit last"], (parse, settings, stop) => parse.GetValue(run) is { } named
            ? Trail(settings, named, stop)
            : throw new ProblemException(new Problem("audit.run", "Which run? `platform runs` lists them; `platform audit verify` checks the whole log.")));

        var target = new Argument<string>("FILE") { Description = "Where to write, JSON lines; '-': standard output." };
        audit.Add(commands.Add("export", "Write the log with its proofs to a file that can be verified anywhere.", [target], ["audit export log.jsonl"], (parse, settings, stop) => Export(settings, parse.GetValue(target)!, stop)));

        var offline = new Option<string?>("--file") { Description = "Verify an export instead of the database.", HelpName = "FILE" };
        var key = new Option<string?>("--key") { Description = "The installation's public key (base64 of the SPKI), for --file.", HelpName = "BASE64" };
        var anchor = new Option<string?>("--anchor") { Description = "The anchor file [PLATFORM_ANCHOR].", HelpName = "FILE" };
        audit.Add(commands.Add("verify", "Check every event against the signed checkpoints; names the first bad place.", [offline, key, anchor], ["audit verify", "audit verify --file log.jsonl --key KEY"], (parse, settings, stop) =>
            Verify(settings, parse.GetValue(offline), parse.GetValue(key), parse.GetValue(anchor), stop)));

        audit.Add(commands.Add("key", "The public key: keep it where this machine's operator cannot change it.", [], ["audit key"], async (_, settings, stop) =>
        {
            await using var installation = await Installation.Open(settings, stop);
            var text = Convert.ToBase64String(installation.Node.Key.PublicKey);
            settings.Terminal.Say(text, new JsonObject { ["name"] = installation.Node.Key.Name, ["publicKey"] = text });
            return ExitCode.Done;
        }));
        return audit;
    }

    private static async Task<int> Trail(Settings settings, string named, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        var run = await installation.Run(named, stop);
        foreach (var recorded in await installation.Events(run, stop))
        {
            var entry = AuditTrail.Entry(recorded);
            if (settings.Terminal.Json)
            {
                settings.Terminal.Record(RunJson.Entry(entry));
                continue;
            }

            settings.Terminal.Line($"{settings.Terminal.Paint(settings.Terminal.Instant(entry.At), Ink.Dim)}  {Terminal.Pad(Terminal.Safe(entry.Who), 12)}  {Terminal.Safe(Places.Readable(entry.What))}");

            // The sentence names some of them.
            foreach (var resource in entry.Resources.Where(r => !entry.What.Contains(r, StringComparison.Ordinal))) { settings.Terminal.Line($"    {Terminal.Safe(Places.Readable(resource))}"); }
        }

        return ExitCode.Done;
    }

    private static async Task<int> Verify(Settings settings, string? file, string? key, string? anchor, CancellationToken stop)
    {
        anchor ??= Environment.GetEnvironmentVariable("PLATFORM_ANCHOR") is { Length: > 0 } given ? given : Path.Combine(settings.DataFolder, "audit-anchor.txt");
        IReadOnlyList<string> anchored = File.Exists(anchor) ? Checkpoints.ReadAnchor(anchor) : [];
        AuditReport report;
        if (file is not null)
        {
            if (!File.Exists(file)) { throw new ProblemException(new Problem("audit.no-file", $"There is no file {file}.")); }
            byte[]? spki = null;
            if (key is not null)
            {
                try { spki = Convert.FromBase64String(key); }
                catch (FormatException) { throw new ProblemException(new Problem("audit.key", "--key is no base64.")); }
            }
            else
            {
                settings.Terminal.Note("Without --key the export is held against the key that it names itself: this shows that it is whole, not who signed it.");
            }

            using var reader = new StreamReader(file);
            try { report = await AuditVerifier.VerifyExport(reader, spki, anchored, stop); }
            catch (InvalidDataException e) { throw new ProblemException(new Problem("audit.no-export", e.Message)); }
        }
        else
        {
            await using var installation = await Installation.Open(settings, stop);
            installation.Node.StartReading();
            await installation.Node.Store.WaitBeyond(await installation.Node.Store.CommittedEvents(stop) - 1, stop);
            report = await AuditVerifier.Verify(installation.Node.Store, settings.Tenant, installation.Node.Key, anchored, stop);
        }

        if (settings.Terminal.Json)
        {
            settings.Terminal.Document(new JsonObject
            {
                ["sound"] = report.Sound,
                ["tenant"] = report.Tenant,
                ["events"] = report.Events,
                ["checkpoints"] = report.Checkpoints,
                ["fault"] = report.Finding?.Fault.ToString().ToLowerInvariant(),
                ["index"] = report.Finding?.Index,
                ["detail"] = report.Finding?.Detail,
            });
        }
        else
        {
            settings.Terminal.Line(report.Finding is { } finding
                ? $"{settings.Terminal.Paint("BROKEN", Ink.Red)} ({finding.Fault.ToString().ToLowerInvariant()}) at event {finding.Index}: {finding.Detail}"
                : $"{settings.Terminal.Paint("Sound", Ink.Green)}: {report.Events} events, {report.Checkpoints} signed checkpoints.");
        }

        return report.Sound ? ExitCode.Done : ExitCode.Failed;
    }

    private static async Task<int> Export(Settings settings, string file, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        installation.Node.StartReading();
        await installation.Node.Store.WaitBeyond(await installation.Node.Store.CommittedEvents(stop) - 1, stop);
        await installation.Node.Sign(stop);
        await using var target = file == "-" ? Console.OpenStandardOutput() : File.Create(file);
        await AuditVerifier.Export(installation.Node.Store, settings.Tenant, installation.Node.Key, target, stop);
        var key = Convert.ToBase64String(installation.Node.Key.PublicKey);
        if (file == "-") { settings.Terminal.Note($"Verify it anywhere: platform audit verify --file FILE --key {key}"); }
        else { settings.Terminal.Say($"Exported to {file}. Verify it anywhere: platform audit verify --file {file} --key {key}", new JsonObject { ["file"] = file, ["publicKey"] = key }); }
        return ExitCode.Done;
    }
}
