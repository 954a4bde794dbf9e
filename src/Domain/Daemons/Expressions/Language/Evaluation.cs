using System.Diagnostics;

namespace Platform.Domain.Daemons.Expressions.Language;

/// <summary>One evaluation: its scope, the variables of its macros, and what it has cost so far.</summary>
internal sealed class Evaluation(IScope scope)
{
    private int steps;
    private Value[] slots = [];

    public IScope Scope { get; } = scope;

    public Value this[int slot]
    {
        get => slots[slot];
        set => slots[slot] = value;
    }

    /// <summary>The next expression of the same evaluation: a template's expressions share its cost.</summary>
    public void Begin(int slotCount)
    {
        if (slots.Length < slotCount) { slots = new Value[slotCount]; }
    }

    public void Step(int offset)
    {
        if (++steps > ExpressionLimits.Steps) { TooCostly(offset); }
    }

    public void Steps(long count, int offset)
    {
        if (count > ExpressionLimits.Steps - steps) { TooCostly(offset); }

        steps += (int)count;
    }

    /// <summary>Work on that many characters or bytes.</summary>
    public void StepText(long length, int offset) => Steps(length / ExpressionLimits.UnitsPerStep, offset);

    /// <summary>A search for one text in another: quadratic for hostile texts once the needle is long.</summary>
    public void StepSearch(int length, int needle, int offset) => Steps(length / ExpressionLimits.UnitsPerStep * (1L + (needle / 256)), offset);

    /// <summary>Before a string of that length is made.</summary>
    public void CheckText(long length, int offset)
    {
        if (length > ExpressionLimits.TextLength) { throw new ExpressionException($"The text would be longer than {ExpressionLimits.TextLength} characters.", offset); }

        StepText(length, offset);
    }

    /// <summary>Before a list of that many elements is made or gone through.</summary>
    public void CheckList(long count, int offset)
    {
        if (count > ExpressionLimits.ListLength) { throw new ExpressionException($"The list has more than {ExpressionLimits.ListLength} elements.", offset); }

        Steps(count, offset);
    }

    [StackTraceHidden]
    private static void TooCostly(int offset) =>
        throw new ExpressionException($"The evaluation takes more than {ExpressionLimits.Steps} steps.", offset);
}
