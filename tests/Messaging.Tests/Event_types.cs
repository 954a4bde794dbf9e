using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

public sealed class An_event_of_an_older_version
{
    private readonly EventTypes types = Handlers.Table.EventTypes();

    [Fact]
    public void is_read_as_the_newest_one()
    {
        Assert.Equal(new Named("Ada", "Lovelace"), types.Read("named", """{"Name":"Ada Lovelace"}"""u8));
        Assert.Equal(new Named("Ada", "Lovelace"), types.Read("named_v2", """{"First":"Ada","Last":"Lovelace"}"""u8));
        Assert.Equal("named_v2", types.Of(new Named("", "")).Alias);
        Assert.True(types.Knows("named") && types.Knows("named_v2"));
    }

    [Fact]
    public void is_folded_with_the_others() =>
        Assert.Equal("Lovelace, Ada", Folds.Counter.Fold(null, [new CounterOpened(new CounterId(Guid.NewGuid())), types.Read("named", """{"Name":"Ada Lovelace"}"""u8)])!.Name);

    [Theory]
    [InlineData("named_v3")]
    [InlineData("nameless")]
    public void is_told_apart_from_one_that_this_program_does_not_know(string alias)
    {
        Assert.False(types.Knows(alias));
        Assert.Throws<UnknownEventException>(() => types.Read(alias, "{}"u8));
    }
}

public sealed class A_retry
{
    [Theory]
    [InlineData(1, 0.0, 500)]
    [InlineData(1, 1.0, 1_000)]
    [InlineData(2, 1.0, 2_000)]
    [InlineData(3, 0.0, 2_000)]
    [InlineData(3, 1.0, 4_000)]
    [InlineData(9, 1.0, 4_000)]
    [InlineData(int.MaxValue, 0.0, 2_000)]
    [InlineData(int.MaxValue, 1.0, 4_000)]
    public void waits_twice_as_long_each_time_up_to_the_cap_and_between_half_and_all_of_it(int attempt, double jitter, double expectedMs) =>
        Assert.Equal(expectedMs, new RetryPolicy(10, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(4)).Wait(attempt, jitter).TotalMilliseconds);

    [Fact]
    public void comes_at_once_where_it_is_told_to() => Assert.Equal(TimeSpan.Zero, RetryPolicy.Now(3).Wait(2, 1));
}
