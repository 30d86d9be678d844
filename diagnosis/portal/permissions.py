"""What the portal's views ask for; who has it, ``diagnosis.roles`` says."""

VIEW = "diagnosis.view_diagnosis"
ADD = "diagnosis.add_diagnosis"
ASSIGN = "diagnosis.change_diagnosis"
REVIEW = "diagnosis.add_review"
MANAGE = "diagnosis.change_case"
SIGN = "diagnosis.add_signature"
AMEND = "diagnosis.add_amendment"
