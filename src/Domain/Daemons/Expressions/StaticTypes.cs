namespace Platform.Domain.Daemons.Expressions;

/// <summary>What is known of a value before it exists.</summary>
public enum ExpressionType { Any, Null, Bool, Number, String, List, Map }

/// <summary>What a checker knows of the names, for example from schemas.</summary>
public interface ITypeScope
{
    /// <param name="path">Members after the name; empty for the name itself.</param>
    /// <returns><see cref="ExpressionType.Any"/> where it is not known, or may be of several types.</returns>
    ExpressionType TypeOf(string name, IReadOnlyList<string> path);
}

/// <param name="Errors">Certain ones only: an expression without any may still fail on the values it meets.</param>
public sealed record InferredType(ExpressionType Type, IReadOnlyList<ExpressionError> Errors);
