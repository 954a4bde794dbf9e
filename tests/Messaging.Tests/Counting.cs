using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Platform.Messaging;

namespace Platform.Tests.Counting;

[JsonConverter(typeof(GuidIdConverter<CounterId>))]
public readonly record struct CounterId(Guid Value) : IGuidId<CounterId>
{
    public static CounterId From(Guid value) => new(value);
}

public sealed record CounterOpened(CounterId CounterId);

public sealed record Counted(int By);

[Stream<CounterId>("counter")]
public sealed record Counter(CounterId Id, int Total, string? Name = null)
{
    public static Counter Create(CounterOpened opened) => new(opened.CounterId, 0);

    public Counter Apply(Counted counted) => this with { Total = Total + counted.By };

    public Counter Apply(CounterClosed closed) => this;

    public Counter Apply(CounterHandedOn handed) => this;

    public Counter Apply(Named named) => this with { Name = $"{named.Last}, {named.First}" };
}

/// <summary>Version 1 had one text "First Last".</summary>
[Alias(Version = 2)]
public sealed record Named(string First, string Last)
{
    [Upcast("named", 1)]
    public static JsonElement Split(JsonElement old)
    {
        var parts = old.GetProperty("Name").GetString()!.Split(' ');
        using var document = JsonDocument.Parse(new JsonObject { [nameof(First)] = parts[0], [nameof(Last)] = parts[1] }.ToJsonString());
        return document.RootElement.Clone();
    }
}

/// <summary>Many messages of one key at once.</summary>
public sealed record Burst(CounterId CounterId, int Count);

public static class BurstHandler
{
    public static (Events, OutgoingMessages) Handle(Burst command, Counter? counter)
    {
        if (counter is not null) { return ([], []); }
        OutgoingMessages errands = [.. Enumerable.Range(0, command.Count).Select(i => new Errand(command.CounterId, i))];
        return ([new CounterOpened(command.CounterId)], errands);
    }
}

[Queue("narrow", MaxParallel = 2)]
[RetryWithBackoff(3, 1_000, 4_000)]
public sealed record Errand(CounterId CounterId, int No);

public static class ErrandHandler
{
    public static Task<int> LoadAsync(Errand command, IDice dice, CancellationToken cancellation) => dice.Roll(new Step(command.CounterId, command.No), cancellation);

    public static Events Handle(Errand command, Counter counter, int rolled) => [new Counted(rolled)];
}

public sealed record Appoint(CounterId CounterId, DateTimeOffset At);

public static class AppointHandler
{
    public static (Events, OutgoingMessages) Handle(Appoint command, Counter? counter) => counter is null
        ? ([new CounterOpened(command.CounterId)], new OutgoingMessages().At(new Step(command.CounterId, 1), command.At))
        : ([], []);
}

public sealed record OpenCounter(CounterId CounterId, int Steps, TimeSpan? After = null);

public static class OpenCounterHandler
{
    public static (Events, OutgoingMessages) Handle(OpenCounter command, Counter? counter)
    {
        if (counter is not null) { return ([], []); }
        if (command.Steps == 0) { return ([new CounterOpened(command.CounterId)], []); }
        var step = new Step(command.CounterId, command.Steps);
        return ([new CounterOpened(command.CounterId)], command.After is { } after ? new OutgoingMessages().After(step, after) : [step]);
    }
}

/// <summary>The world behind <see cref="StepHandler"/>.</summary>
public interface IDice { Task<int> Roll(Step step, CancellationToken cancellation); }

[RetryNow(3)]
public sealed record Step(CounterId CounterId, int Left);

public static class StepHandler
{
    public static Task<int> LoadAsync(Step command, IDice dice, CancellationToken cancellation) => dice.Roll(command, cancellation);

    public static (Events, OutgoingMessages) Handle(Step command, Counter counter, int rolled) =>
        ([new Counted(rolled)], command.Left > 1 ? [new Step(command.CounterId, command.Left - 1)] : []);
}

public sealed record AddOne(CounterId CounterId);

public static class AddOneHandler
{
    public static Problem? Validate(AddOne command, Counter counter) => counter.Total >= 3 ? new Problem("counter.full", "It is full.") : null;

    public static Events Handle(AddOne command, Counter counter) => [new Counted(1)];
}

/// <summary>Ends what is asked of the world for the counter, and changes nothing.</summary>
public sealed record Halt(CounterId CounterId);

public static class HaltHandler
{
    public static (Events, OutgoingMessages) Handle(Halt command, Counter counter) => ([], new OutgoingMessages().Interrupt(counter.Id.Value));
}

public sealed record CloseCounter(CounterId CounterId);

public sealed record CounterClosed(CounterId CounterId);

public static class CloseCounterHandler
{
    public static Events Handle(CloseCounter command, Counter counter) => [new CounterClosed(command.CounterId)];
}

/// <summary>A policy on an event: it answers with messages only.</summary>
public static class CounterClosedHandler
{
    public static CounterId Successor(CounterId counter) => new(DeterministicId.Of(counter.Value, "successor"));

    public static OutgoingMessages Handle(CounterClosed closed) => [new OpenCounter(Successor(closed.CounterId), 0)];
}

public sealed record HandOn([property: StreamId] CounterId CounterId, CounterId To);

public sealed record CounterHandedOn(CounterId From, [property: StreamId] CounterId To);

public static class HandOnHandler
{
    public static Events Handle(HandOn command, Counter counter) => [new CounterHandedOn(command.CounterId, command.To)];
}

/// <summary>A handler of an event that decides on another stream.</summary>
public static class CounterHandedOnHandler
{
    public static (Events, OutgoingMessages) Handle(CounterHandedOn handed, Counter? to) => to is null ? ([new CounterOpened(handed.To)], [new AddOne(handed.To)]) : ([], []);
}

[JsonSerializable(typeof(CounterOpened))]
[JsonSerializable(typeof(Counted))]
[JsonSerializable(typeof(OpenCounter))]
[JsonSerializable(typeof(Step))]
[JsonSerializable(typeof(AddOne))]
[JsonSerializable(typeof(Halt))]
[JsonSerializable(typeof(Named))]
[JsonSerializable(typeof(CloseCounter))]
[JsonSerializable(typeof(CounterClosed))]
[JsonSerializable(typeof(HandOn))]
[JsonSerializable(typeof(CounterHandedOn))]
[JsonSerializable(typeof(Burst))]
[JsonSerializable(typeof(Errand))]
[JsonSerializable(typeof(Appoint))]
public sealed partial class CountingJson : JsonSerializerContext;
