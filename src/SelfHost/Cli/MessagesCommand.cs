using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Platform.EventStore;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform messages</c>: durable messages that nobody handles any more.</summary>
internal static class MessagesCommand
{
    public static Command Create(Commands commands)
    {
        var id = new Argument<Guid>("ID") { Description = "The message's id." };
        var limit = new Option<int>("--limit") { Description = "How many.", DefaultValueFactory = _ => 100 };
        var messages = new Command("messages", "Durable messages that ran out of attempts, or that nobody can read.");
        messages.Add(commands.Add("dead", "List dead letters, oldest first.", [limit], (parse, settings, stop) => Dead(settings, parse.GetValue(limit), stop)));
        messages.Add(commands.Add("requeue", "Let a dead letter be handled again, with all its attempts.", [id], (parse, settings, stop) =>
            Change(settings, parse.GetValue(id), "requeued", "Requeued: the next node that works takes it up.", (store, message) => store.Requeue(settings.Tenant, message, stop), stop)));
        messages.Add(commands.Add("discard", "Throw a dead letter away.", [id], (parse, settings, stop) =>
            Change(settings, parse.GetValue(id), "discarded", "Thrown away.", (store, message) => store.Discard(settings.Tenant, message, stop), stop)));
        return messages;
    }

    private static async Task<int> Dead(Settings settings, int limit, CancellationToken stop)
    {
        if (limit is < 1 or > MessageStore.MaxLimit) { throw new ProblemException(new Problem("messages.limit", $"--limit is {limit}: 1 to {MessageStore.MaxLimit}.")); }
        await using var installation = await Installation.Open(settings, stop);
        var dead = await installation.Node.Messages.DeadLetters(settings.Tenant, limit, stop);
        if (settings.Terminal.Json)
        {
            foreach (var letter in dead)
            {
                settings.Terminal.Record(new JsonObject
                {
                    ["id"] = letter.Envelope.Id,
                    ["type"] = letter.Envelope.Type,
                    ["key"] = letter.Envelope.Key,
                    ["attempts"] = letter.Envelope.Attempts,
                    ["diedAt"] = RunJson.Time(letter.DiedAt),
                    ["error"] = new JsonObject { ["type"] = letter.ErrorType, ["message"] = letter.Error },
                    ["correlationId"] = letter.Envelope.Metadata.CorrelationId,
                });
            }

            return ExitCode.Done;
        }

        settings.Terminal.Table(
            ["ID", "TYPE", "ATTEMPTS", "DIED", "WHY"],
            [.. dead.Select(letter => (IReadOnlyList<string>)
            [
                letter.Envelope.Id.ToString(),
                Terminal.Safe(letter.Envelope.Type),
                letter.Envelope.Attempts.ToString(CultureInfo.InvariantCulture),
                RunJson.Time(letter.DiedAt),
                Terminal.Safe($"{letter.ErrorType}: {letter.Error.Split('\n')[0]}"),
            ])],
            "No dead letters.");
        return ExitCode.Done;
    }

    private static async Task<int> Change(Settings settings, Guid id, string done, string sentence, Func<MessageStore, Guid, Task<bool>> change, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        if (!await change(installation.Node.Messages, id)) { throw new ProblemException(new Problem("messages.not-found", $"Tenant '{settings.Tenant.Value}' has no dead letter {id}. `platform messages dead` lists them.", 404)); }
        if (settings.Terminal.Json) { settings.Terminal.Document(new JsonObject { ["id"] = id, [done] = true }); }
        else { settings.Terminal.Line(sentence); }
        return ExitCode.Done;
    }
}
